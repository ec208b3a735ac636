package token

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"nexus.internal/libs/contract"
)

// Who signs tokens, and whom they are for.
const (
	issuer   = "nexus"
	audience = "nexus-api"
)

// Claims are what a token says.
type Claims struct {
	// KeyID is the API key the token stands for.
	KeyID string
	Owner string
	Role  string
	Modes []string
	// ID is the token's own.
	ID string
	// AuthTime is when the API key was shown.
	AuthTime            time.Time
	IssuedAt, ExpiresAt time.Time
}

// claims are Claims on the wire.
type claims struct {
	jwt.RegisteredClaims
	Owner    string           `json:"owner"`
	Role     string           `json:"role"`
	Modes    []string         `json:"modes"`
	AuthTime *jwt.NumericDate `json:"auth_time"`
}

// Signer signs tokens with the current key.
type Signer struct {
	settings Settings
	now      func() time.Time
	method   jwt.SigningMethod
	id       string
	key      any
	public   []ed25519.PublicKey
}

// NewSigner reads the keys that sign.
func NewSigner(s Settings, now func() time.Time) (*Signer, error) {
	out := &Signer{settings: s, now: now}
	if s.Algorithm == HS256 {
		out.method, out.id, out.key = jwt.SigningMethodHS256, secretID(s.Secret), []byte(s.Secret)
		return out, nil
	}
	key, err := readKey("NEXUS_JWT_KEY_FILE", s.KeyFile)
	if err != nil {
		return nil, err
	}
	public := key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // documented
	out.method, out.id, out.key, out.public = jwt.SigningMethodEdDSA, thumbprint(public), key, []ed25519.PublicKey{public}
	if s.PreviousKeyFile == "" {
		return out, nil
	}
	previous, err := readKey("NEXUS_JWT_PREVIOUS_KEY_FILE", s.PreviousKeyFile)
	if err != nil {
		return nil, err
	}
	out.public = append(out.public, previous.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // documented
	return out, nil
}

// Sign makes a token that says c, and returns it with what it says: the signer
// fills in the id and the times. A zero AuthTime is now. A token never outlives
// its session.
func (s *Signer) Sign(c Claims) (string, Claims, error) {
	now := s.now().UTC().Truncate(time.Second)
	if c.AuthTime.IsZero() {
		c.AuthTime = now
	}
	c.ID, c.IssuedAt, c.ExpiresAt = uuid.NewString(), now, now.Add(s.settings.expiry())
	if end := s.RefreshUntil(c); end.Before(c.ExpiresAt) {
		c.ExpiresAt = end
	}
	t := jwt.NewWithClaims(s.method, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: c.KeyID, ID: c.ID,
			IssuedAt: jwt.NewNumericDate(c.IssuedAt), NotBefore: jwt.NewNumericDate(c.IssuedAt), ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
		Owner: c.Owner, Role: c.Role, Modes: c.Modes, AuthTime: jwt.NewNumericDate(c.AuthTime),
	})
	t.Header["kid"] = s.id
	signed, err := t.SignedString(s.key)
	if err != nil {
		return "", Claims{}, fmt.Errorf("sign a token: %w", err)
	}
	return signed, c, nil
}

// RefreshUntil is when the session ends that c belongs to.
func (s *Signer) RefreshUntil(c Claims) time.Time { return c.AuthTime.Add(s.settings.lifetime()) }

// KeySet is the public half of the keys; empty for a shared secret.
func (s *Signer) KeySet() contract.KeySetReply {
	out := contract.KeySetReply{Keys: []contract.JSONWebKey{}}
	for _, key := range s.public {
		out.Keys = append(out.Keys, webKey(key))
	}
	return out
}

// Verifier checks what this signer signs.
func (s *Signer) Verifier() (*Verifier, error) {
	v, err := NewVerifier(s.settings, s.now)
	if err == nil && len(s.public) > 0 {
		err = v.SetKeys(s.KeySet())
	}
	return v, err
}
