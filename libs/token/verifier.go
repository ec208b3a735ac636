package token

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

// ErrInvalid is every error of Verify. What is wrong is for logs only: whoever
// forges tokens learns nothing from the answer.
var ErrInvalid = errors.New("the token is not valid")

// ErrUnknownKey is ErrInvalid for a token that names a key that is not in the
// set, as after a rotation: the set may be fetched anew.
var ErrUnknownKey = fmt.Errorf("%w: its key is not known", ErrInvalid)

// leeway is for the clocks of auth and the gateway to differ. It helps a token
// that is too young, never one that has expired.
const leeway = 5 * time.Second

// maxKeys bounds a key set: two are in use at once, and a rotation may pass by.
const maxKeys = 16

// Verifier checks tokens without asking anybody. It may be used concurrently.
type Verifier struct {
	algorithm string
	keys      atomic.Pointer[map[string]any]
	parser    *jwt.Parser
	now       func() time.Time
}

// NewVerifier takes the keys of HS256 from the settings. With EdDSA it knows
// none until SetKeys.
func NewVerifier(s Settings, now func() time.Time) (*Verifier, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Algorithm == HS256 {
		return newVerifier(HS256, secretKeys(s), now), nil
	}
	return newVerifier(EdDSA, nil, now), nil
}

func newVerifier(algorithm string, keys []key, now func() time.Time) *Verifier {
	v := &Verifier{algorithm: algorithm, now: now}
	v.replace(keys)
	v.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}),
		jwt.WithStrictDecoding(),
		// All claims are checked here, each by its own rule: the library has
		// one leeway for all of them, and takes an absent nbf or iat.
		jwt.WithoutClaimsValidation(),
	)
	return v
}

func (v *Verifier) replace(keys []key) {
	byID := make(map[string]any, len(keys))
	for _, k := range keys {
		byID[k.id] = k.public
	}
	v.keys.Store(&byID)
}

// SetKeys replaces the keys of EdDSA. One bad key, two of a name or an empty
// set is an error, and the keys stay as they were.
func (v *Verifier) SetKeys(set contract.KeySetReply) error {
	if v.algorithm != EdDSA {
		return fmt.Errorf("set the keys that check tokens: %s has none that can be published", v.algorithm)
	}
	if len(set.Keys) == 0 || len(set.Keys) > maxKeys {
		return fmt.Errorf("set the keys that check tokens: there are %d, want 1 to %d", len(set.Keys), maxKeys)
	}
	keys := make([]key, 0, len(set.Keys))
	seen := map[string]bool{}
	for _, k := range set.Keys {
		parsed, err := fromWebKey(k)
		if err != nil {
			return fmt.Errorf("set the keys that check tokens: %w", err)
		}
		if seen[parsed.id] {
			return fmt.Errorf("set the keys that check tokens: key %q is there twice", parsed.id)
		}
		seen[parsed.id] = true
		keys = append(keys, parsed)
	}
	v.replace(keys)
	return nil
}

// Verify checks a token and returns what it says. Every error is ErrInvalid;
// it is ErrUnknownKey too where the key is not in the set.
func (v *Verifier) Verify(token string) (Claims, error) {
	if len(token) > MaxSize {
		return Claims{}, fmt.Errorf("%w: it has %d bytes, want at most %d", ErrInvalid, len(token), MaxSize)
	}
	// base64 skips line breaks: a signature would be good in many spellings.
	if strings.ContainsAny(token, "\r\n") {
		return Claims{}, fmt.Errorf("%w: it has line breaks", ErrInvalid)
	}
	var p payload
	if _, err := v.parser.ParseWithClaims(token, &p, v.key); err != nil {
		if errors.Is(err, ErrUnknownKey) {
			return Claims{}, ErrUnknownKey
		}
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := p.check(v.now()); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Claims{
		KeyID: p.Subject, Owner: p.Owner, Role: p.Role, Modes: p.Modes, ID: p.ID,
		AuthTime: p.AuthTime.UTC(), IssuedAt: p.IssuedAt.UTC(), ExpiresAt: p.ExpiresAt.UTC(),
	}, nil
}

// key looks the kid up in memory, and does nothing else with it.
func (v *Verifier) key(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("it has extensions that are not understood")
	}
	id, ok := t.Header["kid"].(string)
	if !ok || id == "" {
		return nil, errors.New("it names no key")
	}
	if k, ok := (*v.keys.Load())[id]; ok {
		return k, nil
	}
	return nil, ErrUnknownKey
}

func (p payload) check(now time.Time) error {
	switch {
	case p.Issuer != Issuer:
		return errors.New("another issuer")
	case len(p.Audience) != 1 || p.Audience[0] != Audience:
		return errors.New("another audience")
	case p.Subject == "" || p.ID == "" || p.Owner == "":
		return errors.New("sub, jti or owner is missing")
	case p.ExpiresAt == nil || p.IssuedAt == nil || p.NotBefore == nil || p.AuthTime == nil:
		return errors.New("exp, iat, nbf or auth_time is missing")
	case !now.Before(p.ExpiresAt.Time):
		return errors.New("expired")
	case p.NotBefore.After(now.Add(leeway)) || p.IssuedAt.After(now.Add(leeway)):
		return errors.New("not valid yet")
	case p.AuthTime.After(p.IssuedAt.Time) || !p.ExpiresAt.After(p.IssuedAt.Time):
		return errors.New("its times are out of order")
	// Nothing like it is signed here, and numbers that overflow end here too.
	case p.ExpiresAt.Sub(p.IssuedAt.Time) > maxExpiry*time.Minute || p.IssuedAt.Sub(p.AuthTime.Time) > maxLifetime*time.Hour:
		return errors.New("it is good for too long")
	}
	_, err := identity.ParseRole(p.Role)
	return err
}
