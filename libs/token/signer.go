package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

// Issuer and Audience are in every token.
const (
	Issuer   = "nexus"
	Audience = "nexus-api"
)

// MaxSize is the size of the largest token that is signed or looked at, in
// bytes.
const MaxSize = 4096

// Claims say who bears a token. Times have a resolution of a second.
type Claims struct {
	// KeyID is the API key that the token stands for.
	KeyID string
	Owner string
	Role  string
	Modes []string
	// ID names this token.
	ID string
	// AuthTime is when the key itself was shown last; refreshing keeps it.
	AuthTime  time.Time
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// payload is what is signed.
type payload struct {
	jwt.RegisteredClaims
	AuthTime *jwt.NumericDate `json:"auth_time,omitempty"`
	Owner    string           `json:"owner"`
	Role     string           `json:"role"`
	Modes    []string         `json:"modes"`
}

// Signer signs tokens. It may be used concurrently.
type Signer struct {
	settings Settings
	method   jwt.SigningMethod
	keys     []key // the first signs
	now      func() time.Time
}

// NewSigner reads the keys: with EdDSA from the files, which must be there.
func NewSigner(s Settings, now func() time.Time) (*Signer, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Algorithm == HS256 {
		return &Signer{settings: s, method: jwt.SigningMethodHS256, keys: secretKeys(s), now: now}, nil
	}
	keys, err := fileKeys(s)
	if err != nil {
		return nil, fmt.Errorf("read the keys that sign tokens: %w", err)
	}
	return &Signer{settings: s, method: jwt.SigningMethodEdDSA, keys: keys, now: now}, nil
}

// Sign makes a token and returns what it says: ID, IssuedAt and ExpiresAt are
// new, AuthTime is now where it was zero. A token ends with the absolute
// lifetime at the latest; once that is over there is an error.
func (s *Signer) Sign(c Claims) (string, Claims, error) {
	now := s.now().UTC().Truncate(time.Second)
	if c.AuthTime.IsZero() {
		c.AuthTime = now
	}
	c.AuthTime = c.AuthTime.UTC().Truncate(time.Second)
	c.ID, c.IssuedAt, c.ExpiresAt = uuid.NewString(), now, now.Add(s.settings.expiry())
	if end := s.RefreshUntil(c); c.ExpiresAt.After(end) {
		c.ExpiresAt = end
	}
	if err := s.check(c); err != nil {
		return "", Claims{}, fmt.Errorf("sign a token: %w", err)
	}
	unsigned := jwt.NewWithClaims(s.method, payload{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Subject: c.KeyID, Audience: jwt.ClaimStrings{Audience}, ID: c.ID,
			IssuedAt: jwt.NewNumericDate(c.IssuedAt), NotBefore: jwt.NewNumericDate(c.IssuedAt), ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
		AuthTime: jwt.NewNumericDate(c.AuthTime), Owner: c.Owner, Role: c.Role, Modes: c.Modes,
	})
	unsigned.Header["kid"] = s.keys[0].id
	signed, err := unsigned.SignedString(s.keys[0].private)
	if err != nil {
		return "", Claims{}, fmt.Errorf("sign a token: %w", err)
	}
	if len(signed) > MaxSize {
		return "", Claims{}, fmt.Errorf("sign a token: it has %d bytes, at most %d are checked", len(signed), MaxSize)
	}
	return signed, c, nil
}

// check refuses what a Verifier would not take.
func (s *Signer) check(c Claims) error {
	if c.KeyID == "" || c.Owner == "" {
		return errors.New("the key id or the owner is empty")
	}
	if _, err := identity.ParseRole(c.Role); err != nil {
		return err
	}
	if c.AuthTime.After(c.IssuedAt) {
		return errors.New("the key is shown in the future")
	}
	if !c.ExpiresAt.After(c.IssuedAt) {
		return fmt.Errorf("its lifetime ended at %s", s.RefreshUntil(c).Format(time.RFC3339))
	}
	return nil
}

// RefreshUntil is when the key must be shown again.
func (s *Signer) RefreshUntil(c Claims) time.Time {
	return c.AuthTime.Add(s.settings.lifetime())
}

// KeySet is the public half of the keys, empty for HS256.
func (s *Signer) KeySet() contract.KeySetReply {
	out := contract.KeySetReply{Keys: []contract.JSONWebKey{}}
	for _, k := range s.keys {
		if public, ok := k.public.(ed25519.PublicKey); ok {
			out.Keys = append(out.Keys, webKey(k.id, public))
		}
	}
	return out
}

// Verifier checks what this signer signs, and what its previous key signed.
func (s *Signer) Verifier() *Verifier {
	return newVerifier(s.settings.Algorithm, s.keys, s.now)
}
