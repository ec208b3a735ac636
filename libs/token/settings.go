// Package token signs and checks access tokens (JSON Web Tokens, RFC 7519): the
// auth service signs, the gateway checks without asking anybody.
//
// What the owner of a token may do now is not in the token; whoever checks one
// asks for the state of its key.
package token

import (
	"errors"
	"fmt"
	"time"
)

// Algorithms that tokens can be signed with.
const (
	HS256 = "HS256"
	EdDSA = "EdDSA"
)

// DevSecret is the default secret, which anybody can read here.
const DevSecret = "nexus-dev-jwt-secret-never-in-production"

// minSecret is the shortest secret allowed, in bytes (RFC 7518, 3.2: as long as
// the hash).
const minSecret = 32

// Settings are shared by the services that sign and check tokens.
type Settings struct {
	Algorithm       string `env:"JWT_ALGORITHM" envDefault:"HS256" doc:"HS256: tokens are signed with a secret that auth and gateway share. EdDSA: auth signs with a key file, and the public half is at /.well-known/jwks.json."`
	Secret          string `env:"JWT_SECRET" envDefault:"nexus-dev-jwt-secret-never-in-production" doc:"The secret of HS256, at least 32 bytes."`
	PreviousSecret  string `env:"JWT_PREVIOUS_SECRET" doc:"The secret before, while its tokens are still good: it checks and does not sign."`
	KeyFile         string `env:"JWT_KEY_FILE" doc:"The Ed25519 private key of EdDSA, PEM (PKCS #8). Only auth needs it."`
	PreviousKeyFile string `env:"JWT_PREVIOUS_KEY_FILE" doc:"The key before, while its tokens are still good: it checks and does not sign."`
	ExpiryMinutes   int    `env:"JWT_EXPIRY_MINUTES" envDefault:"15" doc:"How long a token is good, in minutes."`
	LifetimeHours   int    `env:"JWT_LIFETIME_HOURS" envDefault:"12" doc:"How long tokens can be renewed before the API key must be shown again, in hours."`
}

// Validate implements config.Validator.
func (s Settings) Validate() error {
	var errs []error
	switch s.Algorithm {
	case HS256:
		errs = append(errs, s.validateSecrets())
	case EdDSA:
		if s.KeyFile != "" && s.KeyFile == s.PreviousKeyFile {
			errs = append(errs, errors.New("NEXUS_JWT_PREVIOUS_KEY_FILE is the same as NEXUS_JWT_KEY_FILE"))
		}
	default:
		errs = append(errs, fmt.Errorf("NEXUS_JWT_ALGORITHM is %q: want %s or %s", s.Algorithm, HS256, EdDSA))
	}
	if s.ExpiryMinutes < 1 || s.ExpiryMinutes > 60 {
		errs = append(errs, fmt.Errorf("NEXUS_JWT_EXPIRY_MINUTES is %d: want 1 to 60", s.ExpiryMinutes))
	}
	if s.LifetimeHours < 1 || s.LifetimeHours > 168 {
		errs = append(errs, fmt.Errorf("NEXUS_JWT_LIFETIME_HOURS is %d: want 1 to 168", s.LifetimeHours))
	}
	return errors.Join(errs...)
}

func (s Settings) validateSecrets() error {
	var errs []error
	if len(s.Secret) < minSecret {
		errs = append(errs, fmt.Errorf("NEXUS_JWT_SECRET has %d bytes: want at least %d", len(s.Secret), minSecret))
	}
	if n := len(s.PreviousSecret); n > 0 && n < minSecret {
		errs = append(errs, fmt.Errorf("NEXUS_JWT_PREVIOUS_SECRET has %d bytes: want at least %d", n, minSecret))
	}
	if s.Secret == s.PreviousSecret {
		errs = append(errs, errors.New("NEXUS_JWT_PREVIOUS_SECRET is the same as NEXUS_JWT_SECRET"))
	}
	return errors.Join(errs...)
}

// CheckProduction refuses what must not sign or check tokens in production.
func (s Settings) CheckProduction() error {
	if s.Algorithm == HS256 && (s.Secret == DevSecret || s.PreviousSecret == DevSecret) {
		return errors.New("NEXUS_JWT_SECRET is the development default, which anybody knows: set a secret of your own in prod, or NEXUS_JWT_ALGORITHM=EdDSA")
	}
	return nil
}

func (s Settings) expiry() time.Duration   { return time.Duration(s.ExpiryMinutes) * time.Minute }
func (s Settings) lifetime() time.Duration { return time.Duration(s.LifetimeHours) * time.Hour }
