package token_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/token"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(when time.Time) func() time.Time { return func() time.Time { return when } }

func secret(letter byte) string { return strings.Repeat(string(letter), 40) }

func hsSettings(current, previous string) token.Settings {
	return token.Settings{Algorithm: token.HS256, Secret: current, PreviousSecret: previous, ExpiryMinutes: 15, LifetimeHours: 12}
}

func edSettings(current, previous string) token.Settings {
	return token.Settings{Algorithm: token.EdDSA, KeyFile: current, PreviousKeyFile: previous, ExpiryMinutes: 15, LifetimeHours: 12}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func edKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func keyFile(t testing.TB, seed byte) (string, ed25519.PublicKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(edKey(seed))
	require.NoError(t, err)
	return textFile(t, pemOf("PRIVATE KEY", der)), edKey(seed).Public().(ed25519.PublicKey)
}

func ecdsaKey(t testing.TB) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pemOf("PRIVATE KEY", der)
}

func claims() token.Claims {
	return token.Claims{KeyID: "key-1", Owner: "ann", Role: "operator", Modes: []string{"PUBLIC"}}
}

func newSigner(t testing.TB, s token.Settings) *token.Signer {
	t.Helper()
	signer, err := token.NewSigner(s, at(start))
	require.NoError(t, err)
	return signer
}

func sign(t testing.TB, signer *token.Signer) string {
	t.Helper()
	signed, _, err := signer.Sign(claims())
	require.NoError(t, err)
	return signed
}

// verifier is that of a gateway, with the keys of signer where it has any.
func verifier(t testing.TB, s token.Settings, signer *token.Signer, now time.Time) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(s, at(now))
	require.NoError(t, err)
	if s.Algorithm == token.EdDSA {
		require.NoError(t, v.SetKeys(signer.KeySet()))
	}
	return v
}

func bothAlgorithms(t testing.TB) map[string]token.Settings {
	t.Helper()
	file, _ := keyFile(t, 1)
	return map[string]token.Settings{token.HS256: hsSettings(secret('a'), ""), token.EdDSA: edSettings(file, "")}
}

func TestWhatIsSignedIsGood(t *testing.T) {
	t.Parallel()
	for name, s := range bothAlgorithms(t) {
		signer := newSigner(t, s)
		signed, said, err := signer.Sign(claims())
		require.NoError(t, err, name)
		require.NotEmpty(t, said.ID, name)
		want := claims()
		want.ID, want.AuthTime, want.IssuedAt, want.ExpiresAt = said.ID, start, start, start.Add(15*time.Minute)
		require.Equal(t, want, said, name)
		require.Equal(t, start.Add(12*time.Hour), signer.RefreshUntil(said), name)
		for _, v := range []*token.Verifier{signer.Verifier(), verifier(t, s, signer, start)} {
			got, err := v.Verify(signed)
			require.NoError(t, err, name)
			require.Equal(t, want, got, name)
		}
		_, again, err := signer.Sign(claims())
		require.NoError(t, err, name)
		require.NotEqual(t, said.ID, again.ID, name)
	}
}

func TestTimeBounds(t *testing.T) {
	t.Parallel()
	for name, s := range bothAlgorithms(t) {
		signer := newSigner(t, s)
		signed := sign(t, signer)
		for offset, good := range map[time.Duration]bool{
			-6 * time.Second: false, -5 * time.Second: true, 0: true, 15*time.Minute - time.Nanosecond: true,
			15 * time.Minute: false, 15*time.Minute + time.Second: false,
		} {
			_, err := verifier(t, s, signer, start.Add(offset)).Verify(signed)
			if good {
				require.NoError(t, err, "%s %s", name, offset)
			} else {
				require.ErrorIs(t, err, token.ErrInvalid, "%s %s", name, offset)
			}
		}
	}
}

func TestLifetimeEndsRefreshing(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, hsSettings(secret('a'), ""))
	c := claims()
	c.AuthTime = start.Add(-12*time.Hour + 4*time.Minute)
	signed, said, err := signer.Sign(c)
	require.NoError(t, err)
	require.Equal(t, c.AuthTime, said.AuthTime)
	require.Equal(t, start.Add(4*time.Minute), said.ExpiresAt)
	require.Equal(t, said.ExpiresAt, signer.RefreshUntil(said))
	_, err = signer.Verifier().Verify(signed)
	require.NoError(t, err)

	c.AuthTime = start.Add(-12 * time.Hour)
	_, _, err = signer.Sign(c)
	require.ErrorContains(t, err, "its lifetime ended at 2026-03-01T12:00:00Z")
}

func TestSignRefusesWhatNobodyWouldTake(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, hsSettings(secret('a'), ""))
	for name, change := range map[string]func(*token.Claims){
		"no key id":          func(c *token.Claims) { c.KeyID = "" },
		"no owner":           func(c *token.Claims) { c.Owner = "" },
		"role root":          func(c *token.Claims) { c.Role = "root" },
		"shown in an hour":   func(c *token.Claims) { c.AuthTime = start.Add(time.Hour) },
		"owner of 5000 byte": func(c *token.Claims) { c.Owner = strings.Repeat("x", 5000) },
	} {
		c := claims()
		change(&c)
		_, _, err := signer.Sign(c)
		require.ErrorContains(t, err, "sign a token: ", name)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	one, _ := keyFile(t, 1)
	two, _ := keyFile(t, 2)
	three, _ := keyFile(t, 3)
	for name, steps := range map[string][3]token.Settings{
		token.HS256: {hsSettings(secret('a'), ""), hsSettings(secret('b'), secret('a')), hsSettings(secret('c'), secret('b'))},
		token.EdDSA: {edSettings(one, ""), edSettings(two, one), edSettings(three, two)},
	} {
		old := sign(t, newSigner(t, steps[0]))
		second := newSigner(t, steps[1])
		third := newSigner(t, steps[2])
		for _, v := range []*token.Verifier{second.Verifier(), verifier(t, steps[1], second, start)} {
			_, err := v.Verify(old)
			require.NoError(t, err, "%s: the previous key still checks", name)
			_, err = v.Verify(sign(t, third))
			require.ErrorIs(t, err, token.ErrUnknownKey, name)
		}
		_, err := verifier(t, steps[2], third, start).Verify(old)
		require.ErrorIs(t, err, token.ErrUnknownKey, name)
		require.ErrorIs(t, err, token.ErrInvalid, name)
		_, err = newSigner(t, steps[0]).Verifier().Verify(sign(t, second))
		require.ErrorIs(t, err, token.ErrUnknownKey, "%s: the current key signs", name)
	}
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	require.Equal(t, contract.KeySetReply{Keys: []contract.JSONWebKey{}}, newSigner(t, hsSettings(secret('a'), secret('b'))).KeySet())
	// The key and its thumbprint in RFC 8037, A.2 and A.3.
	known := contract.JSONWebKey{
		KeyType: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: "EdDSA",
		KeyID: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
	}
	v, err := token.NewVerifier(edSettings("", ""), at(start))
	require.NoError(t, err)
	require.NoError(t, v.SetKeys(contract.KeySetReply{Keys: []contract.JSONWebKey{known}}))
	one, _ := keyFile(t, 1)
	two, _ := keyFile(t, 2)
	require.Len(t, newSigner(t, edSettings(one, two)).KeySet().Keys, 2)
}

func TestBadKeySetsChangeNothing(t *testing.T) {
	t.Parallel()
	file, _ := keyFile(t, 1)
	signer := newSigner(t, edSettings(file, ""))
	good := signer.KeySet().Keys[0]
	v := signer.Verifier()
	change := func(f func(*contract.JSONWebKey)) []contract.JSONWebKey {
		k := good
		f(&k)
		return []contract.JSONWebKey{good, k}
	}
	for name, keys := range map[string][]contract.JSONWebKey{
		"none":          {},
		"twice":         {good, good},
		"many":          make([]contract.JSONWebKey, 1000),
		"RSA":           change(func(k *contract.JSONWebKey) { k.KeyType = "RSA" }),
		"X25519":        change(func(k *contract.JSONWebKey) { k.Curve = "X25519" }),
		"HS256":         change(func(k *contract.JSONWebKey) { k.Algorithm = "HS256" }),
		"to encrypt":    change(func(k *contract.JSONWebKey) { k.Use = "enc" }),
		"another name":  change(func(k *contract.JSONWebKey) { k.KeyID = "../../dev/null" }),
		"short":         change(func(k *contract.JSONWebKey) { k.X = k.X[:20] }),
		"not base64":    change(func(k *contract.JSONWebKey) { k.X = "???" }),
		"another x":     change(func(k *contract.JSONWebKey) { k.X = "A" + k.X[1:] }),
		"empty x":       change(func(k *contract.JSONWebKey) { k.X = "" }),
		"nothing in it": {{}},
	} {
		require.Error(t, v.SetKeys(contract.KeySetReply{Keys: keys}), name)
		_, err := v.Verify(sign(t, signer))
		require.NoError(t, err, name)
	}
	require.ErrorContains(t, newSigner(t, hsSettings(secret('a'), "")).Verifier().SetKeys(signer.KeySet()), "HS256")
}

func TestSetKeysBesideVerify(t *testing.T) {
	t.Parallel()
	one, _ := keyFile(t, 1)
	two, _ := keyFile(t, 2)
	signer := newSigner(t, edSettings(one, ""))
	signed, other := sign(t, signer), newSigner(t, edSettings(two, one))
	v := verifier(t, edSettings("", ""), signer, start)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := v.Verify(signed); err != nil {
					t.Errorf("a good token is refused: %v", err)
				}
			}
		})
		wg.Go(func() {
			for i := range 50 {
				set := signer.KeySet()
				if i%2 == 0 {
					set = other.KeySet()
				}
				if err := v.SetKeys(set); err != nil {
					t.Errorf("a good set is refused: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return private
}

func BenchmarkVerify(b *testing.B) {
	for name, s := range bothAlgorithms(b) {
		signer := newSigner(b, s)
		signed, v := sign(b, signer), signer.Verifier()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(signed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// forge signs whatever it is told to.
func forge(t testing.TB, method jwt.SigningMethod, private any, header, body map[string]any) string {
	t.Helper()
	unsigned := jwt.NewWithClaims(method, jwt.MapClaims(body))
	for k, v := range header {
		unsigned.Header[k] = v
	}
	signed, err := unsigned.SignedString(private)
	require.NoError(t, err)
	return signed
}
