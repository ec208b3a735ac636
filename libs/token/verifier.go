package token

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

// MaxSize is the longest token looked at, in bytes.
const MaxSize = 4096

// leeway is how far the clocks of two machines may differ when a token has only
// just been signed.
const leeway = 5 * time.Second

var (
	// ErrInvalid is the one answer to every token that is not good.
	ErrInvalid = errors.New("the token is not good")
	// ErrUnknownKey means, besides, that nobody here knows the key it claims to
	// be signed with.
	ErrUnknownKey = fmt.Errorf("%w: unknown key", ErrInvalid)
)

// Verifier checks tokens. Its methods may be called at once.
type Verifier struct {
	algorithm string
	now       func() time.Time
	parser    *jwt.Parser
	// keys are those that check, by their id.
	keys atomic.Pointer[map[string]any]
}

// NewVerifier makes a verifier. With HS256 it knows the secrets of the settings;
// with EdDSA it knows no key until SetKeys.
func NewVerifier(s Settings, now func() time.Time) (*Verifier, error) {
	if s.Algorithm != HS256 && s.Algorithm != EdDSA {
		return nil, fmt.Errorf("NEXUS_JWT_ALGORITHM is %q: want %s or %s", s.Algorithm, HS256, EdDSA)
	}
	v := &Verifier{algorithm: s.Algorithm, now: now, parser: jwt.NewParser(
		// The one algorithm of the settings: what the token names is no choice
		// of its maker.
		jwt.WithValidMethods([]string{s.Algorithm}), jwt.WithStrictDecoding(),
		// check does it, with a leeway of its own for each claim.
		jwt.WithoutClaimsValidation(),
	)}
	keys := map[string]any{}
	if s.Algorithm == HS256 {
		for _, secret := range []string{s.Secret, s.PreviousSecret} {
			if secret != "" {
				keys[secretID(secret)] = []byte(secret)
			}
		}
	}
	v.keys.Store(&keys)
	return v, nil
}

// SetKeys replaces the keys of EdDSA.
func (v *Verifier) SetKeys(set contract.KeySetReply) error {
	if v.algorithm != EdDSA {
		return errors.New("tokens are signed with a secret; there are no public keys")
	}
	keys := make(map[string]any, len(set.Keys))
	for _, k := range set.Keys {
		key, err := publicKey(k)
		if err != nil {
			return err
		}
		keys[k.KeyID] = key
	}
	v.keys.Store(&keys)
	return nil
}

// Verify checks a token and returns what it says. Every fault is ErrInvalid; the
// cause inside is for the log.
func (v *Verifier) Verify(signed string) (Claims, error) {
	if len(signed) > MaxSize {
		return Claims{}, fmt.Errorf("%w: it has %d bytes; the limit is %d", ErrInvalid, len(signed), MaxSize)
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(signed, &c, v.keyOf); err != nil {
		if errors.Is(err, ErrUnknownKey) {
			return Claims{}, ErrUnknownKey
		}
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := v.check(c); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Claims{
		KeyID: c.Subject, Owner: c.Owner, Role: c.Role, Modes: c.Modes, ID: c.ID,
		AuthTime: c.AuthTime.Time, IssuedAt: c.IssuedAt.Time, ExpiresAt: c.ExpiresAt.Time,
	}, nil
}

// keyOf finds the key a token names, in memory and nowhere else.
func (v *Verifier) keyOf(t *jwt.Token) (any, error) {
	id, ok := t.Header["kid"].(string)
	if !ok {
		return nil, ErrUnknownKey
	}
	key, ok := (*v.keys.Load())[id]
	if !ok {
		return nil, ErrUnknownKey
	}
	return key, nil
}

// check holds the claims to the clock. There is no leeway at the end of a token.
func (v *Verifier) check(c claims) error {
	now := v.now()
	switch {
	case c.ExpiresAt == nil || c.IssuedAt == nil || c.NotBefore == nil || c.AuthTime == nil || c.Subject == "" || c.ID == "":
		return errors.New("a claim is missing")
	case c.Issuer != issuer:
		return errors.New("another issuer")
	case len(c.Audience) != 1 || c.Audience[0] != audience:
		return errors.New("another audience")
	case !now.Before(c.ExpiresAt.Time):
		return errors.New("it has expired")
	case now.Add(leeway).Before(c.NotBefore.Time), now.Add(leeway).Before(c.IssuedAt.Time):
		return errors.New("it is not good yet")
	}
	if _, err := identity.ParseRole(c.Role); err != nil {
		return errors.New("an unknown role")
	}
	return nil
}
