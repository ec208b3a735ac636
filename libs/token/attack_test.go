package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/token"
)

// target is a verifier under attack, with what forging takes: the key of its
// signer, whose holder nothing but the claims can stop.
type target struct {
	verifier *token.Verifier
	good     string
	method   jwt.SigningMethod
	private  any
	kid      string
}

func targets(t testing.TB) map[string]target {
	t.Helper()
	out := map[string]target{}
	for name, s := range bothAlgorithms(t) {
		signer := newSigner(t, s)
		g := target{verifier: verifier(t, s, signer, start), good: sign(t, signer), method: jwt.SigningMethodHS256, private: []byte(secret('a'))}
		if name == token.EdDSA {
			g.method, g.private = jwt.SigningMethodEdDSA, edKey(1)
		}
		g.kid = header(t, g.good)["kid"].(string)
		out[name] = g
	}
	return out
}

func header(t testing.TB, signed string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[0])
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

func goodBody() map[string]any {
	return map[string]any{
		"iss": token.Issuer, "aud": token.Audience, "sub": "key-1", "jti": "token-1", "owner": "ann", "role": "operator", "modes": []string{"PUBLIC"},
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(time.Minute).Unix(), "auth_time": start.Unix(),
	}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func requireInvalid(t testing.TB, v *token.Verifier, signed, what string) {
	t.Helper()
	got, err := v.Verify(signed)
	require.ErrorIs(t, err, token.ErrInvalid, what)
	require.Zero(t, got, what)
}

func TestForgedClaims(t *testing.T) {
	t.Parallel()
	for algorithm, g := range targets(t) {
		kid := map[string]any{"kid": g.kid}
		_, err := g.verifier.Verify(forge(t, g.method, g.private, kid, goodBody()))
		require.NoError(t, err, "the forge works")
		for name, change := range map[string]map[string]any{
			"another audience":     {"aud": "nexus-admin"},
			"two audiences":        {"aud": []string{token.Audience, "other"}},
			"no audience":          {"aud": nil},
			"empty audience":       {"aud": []string{}},
			"another issuer":       {"iss": "nexus2"},
			"no issuer":            {"iss": nil},
			"expired by a second":  {"iat": start.Unix() - 60, "nbf": start.Unix() - 60, "auth_time": start.Unix() - 60, "exp": start.Unix() - 1},
			"expires now":          {"iat": start.Unix() - 60, "nbf": start.Unix() - 60, "auth_time": start.Unix() - 60, "exp": start.Unix()},
			"not valid yet":        {"nbf": start.Unix() + 6},
			"issued later":         {"iat": start.Unix() + 6},
			"no exp":               {"exp": nil},
			"no iat":               {"iat": nil},
			"no nbf":               {"nbf": nil},
			"no auth_time":         {"auth_time": nil},
			"no jti":               {"jti": nil},
			"no sub":               {"sub": nil},
			"empty sub":            {"sub": ""},
			"sub is a number":      {"sub": 7},
			"no owner":             {"owner": nil},
			"role root":            {"role": "root"},
			"role Admin":           {"role": "Admin"},
			"no role":              {"role": nil},
			"roles":                {"role": []string{"admin"}},
			"exp of two hours":     {"exp": start.Add(2 * time.Hour).Unix()},
			"exp of 1e18":          {"exp": json.Number("1e18")},
			"exp of 1e300":         {"exp": json.Number("1e300")},
			"exp of 1e400":         {"exp": json.Number("1e400")},
			"exp of -1e300":        {"exp": json.Number("-1e300")},
			"exp of max int64":     {"exp": json.Number("9223372036854775807")},
			"exp is text":          {"exp": "tomorrow"},
			"exp is an array":      {"exp": []int{1}},
			"iat of -1e300":        {"iat": json.Number("-1e300")},
			"auth_time of 1e300":   {"auth_time": json.Number("1e300")},
			"auth_time of 1970":    {"auth_time": 0},
			"auth_time after iat":  {"auth_time": start.Unix() + 1},
			"modes is not a list":  {"modes": "RAW"},
			"exp before it starts": {"exp": start.Unix() - 1, "iat": start.Unix()},
		} {
			body := goodBody()
			maps.Copy(body, change)
			for k, v := range change {
				if v == nil {
					delete(body, k)
				}
			}
			requireInvalid(t, g.verifier, forge(t, g.method, g.private, kid, body), algorithm+": "+name)
		}
	}
}

func TestForgedHeaders(t *testing.T) {
	t.Parallel()
	for algorithm, g := range targets(t) {
		for name, kid := range map[string]any{
			"unknown": "another", "missing": nil, "empty": "", "a path": "../../../../dev/null", "SQL": "' OR 1=1 --",
			"a number": 7, "an array": []string{g.kid}, "an object": map[string]string{"kid": g.kid}, "true": true,
		} {
			signed := forge(t, g.method, g.private, map[string]any{"kid": kid}, goodBody())
			requireInvalid(t, g.verifier, signed, algorithm+": kid is "+name)
			_, err := g.verifier.Verify(signed)
			_, text := kid.(string)
			require.Equal(t, text && kid != "", errors.Is(err, token.ErrUnknownKey), "%s: kid is %s", algorithm, name)
		}
		for name, header := range map[string]map[string]any{
			"extension":        {"kid": g.kid, "crit": []string{"b64"}, "b64": false},
			"alg is a number":  {"kid": g.kid, "alg": 1},
			"alg in lowercase": {"kid": g.kid, "alg": strings.ToLower(g.method.Alg())},
			"no alg":           {"kid": g.kid, "alg": nil},
		} {
			requireInvalid(t, g.verifier, forge(t, g.method, g.private, header, goodBody()), algorithm+": "+name)
		}
	}
}

func TestAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	private := rsaKey(t)
	for algorithm, g := range targets(t) {
		kid := map[string]any{"kid": g.kid}
		body := strings.Split(g.good, ".")[1]
		for _, alg := range []string{"none", "None", "NONE", "nOnE", "", " none"} {
			head := encode(`{"alg":"` + alg + `","typ":"JWT","kid":"` + g.kid + `"}`)
			requireInvalid(t, g.verifier, head+"."+body+".", algorithm+": alg "+alg)
			requireInvalid(t, g.verifier, head+"."+body+"."+strings.Split(g.good, ".")[2], algorithm+": signed alg "+alg)
		}
		requireInvalid(t, g.verifier, forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, goodBody()), algorithm+": none")
		requireInvalid(t, g.verifier, forge(t, jwt.SigningMethodRS256, private, kid, goodBody()), algorithm+": RS256")
		for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
			requireInvalid(t, g.verifier, forge(t, method, []byte(secret('a')), kid, goodBody()), algorithm+": "+method.Alg())
		}
		requireInvalid(t, g.verifier, forge(t, jwt.SigningMethodHS256, []byte(secret('z')), kid, goodBody()), algorithm+": another secret")
		requireInvalid(t, g.verifier, forge(t, jwt.SigningMethodEdDSA, edKey(9), kid, goodBody()), algorithm+": another Ed25519 key")
	}
	g := targets(t)[token.EdDSA]
	confused := forge(t, jwt.SigningMethodHS256, []byte(edKey(1).Public().(ed25519.PublicKey)), map[string]any{"kid": g.kid}, goodBody())
	requireInvalid(t, g.verifier, confused, "the public key as a secret")
}

func TestDamagedTokens(t *testing.T) {
	t.Parallel()
	for algorithm, g := range targets(t) {
		parts := strings.Split(g.good, ".")
		head, body, signature := parts[0], parts[1], parts[2]
		flipped := "A"
		if signature[0] == 'A' {
			flipped = "B"
		}
		twice := `{"role":"admin",` + `"role":"admin","iss":"nexus","aud":"nexus-api","exp":99999999999}`
		for name, text := range map[string]string{
			"empty": "", "garbage": "garbage", "dots": "..", "many dots": strings.Repeat(".", 4000), "not UTF-8": "\xff\xfe.\xff.\xff", "NUL": "\x00.\x00.\x00",
			"one part": head, "two parts": head + "." + body, "four parts": g.good + "." + signature, "five parts": g.good + "..",
			"10 kB": strings.Repeat("a", 10<<10), "10 kB after a good one": g.good + strings.Repeat("a", 10<<10), "10 kB header": strings.Repeat("a", 10<<10) + "." + body + "." + signature,
			"no signature": head + "." + body + ".", "another signature": head + "." + body + "." + flipped + signature[1:], "half a signature": head + "." + body + "." + signature[:len(signature)/2],
			"another payload": head + "." + encode(`{"role":"admin"}`) + "." + signature, "duplicated claims": head + "." + encode(twice) + "." + signature,
			"duplicated alg":  encode(`{"alg":"none","alg":"`+g.method.Alg()+`","kid":"`+g.kid+`"}`) + "." + body + "." + signature,
			"payload is null": head + "." + encode("null") + "." + signature, "payload is a list": head + "." + encode("[]") + "." + signature, "header is null": encode("null") + "." + body + "." + signature,
			"deep payload": head + "." + encode(strings.Repeat("[", 2000)) + "." + signature,
			"space before": " " + g.good, "space after": g.good + " ", "line break after": g.good + "\n", "space inside": head + ". " + body + "." + signature,
			"line break in the payload":   head + "." + body[:5] + "\n" + body[5:] + "." + signature,
			"line break in the signature": head + "." + body + "." + signature[:5] + "\r\n" + signature[5:],
			"padding":                     g.good + "=", "Bearer": "Bearer " + g.good,
		} {
			requireInvalid(t, g.verifier, text, algorithm+": "+name)
		}
		// The last character has bits to spare, which strict decoding wants to be zero.
		spare := 0
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			if _, err := g.verifier.Verify(g.good[:len(g.good)-1] + string(c)); err == nil {
				spare++
			}
		}
		require.Equal(t, 1, spare, "%s: spellings of a signature", algorithm)
	}
}

func FuzzVerify(f *testing.F) {
	all := targets(f)
	for algorithm, g := range all {
		// Every process that fuzzes must know the same good token.
		g.good = forge(f, g.method, g.private, map[string]any{"kid": g.kid}, goodBody())
		all[algorithm] = g
		f.Add(g.good)
		f.Add(strings.TrimRight(g.good, "abcdefgh"))
	}
	f.Add("")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		for algorithm, g := range all {
			if text == g.good {
				continue
			}
			requireInvalid(t, g.verifier, text, algorithm)
		}
	})
}
