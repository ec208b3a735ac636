// Package token signs and checks the access tokens of the REST API. Auth
// signs, gateways check; neither asks the other for each request.
package token

import (
	"errors"
	"fmt"
	"time"

	"nexus.internal/libs/config"
)

// The algorithms. HS256 needs the same secret in auth and in every gateway;
// with EdDSA only auth holds the keys that sign.
const (
	HS256 = "HS256"
	EdDSA = "EdDSA"
)

// DevSecret is the default secret. Anybody knows it, so CheckProduction
// refuses it.
const DevSecret = "nexus-development-secret-do-not-use-in-production"

// Limits of the settings.
const (
	minSecret   = 32 // characters; the HMAC's output has as many bytes (RFC 7518, 3.2)
	maxSecret   = 4096
	maxExpiry   = 60 // minutes
	maxLifetime = 168
)

// Settings are shared by the services that sign and check tokens.
type Settings struct {
	Algorithm       string `env:"JWT_ALGORITHM" envDefault:"HS256" doc:"How tokens are signed: HS256 (a secret that auth and the gateways share) or EdDSA (Ed25519 keys that only auth has)."`
	Secret          string `env:"JWT_SECRET" envDefault:"nexus-development-secret-do-not-use-in-production" doc:"The secret of HS256, 32 to 4096 visible ASCII characters."`
	PreviousSecret  string `env:"JWT_PREVIOUS_SECRET" doc:"The secret before the last rotation: still checked, never signs."`
	KeyFile         string `env:"JWT_KEY_FILE" doc:"PEM file with the PKCS#8 Ed25519 private key of EdDSA. Only auth needs it."`
	PreviousKeyFile string `env:"JWT_PREVIOUS_KEY_FILE" doc:"The key file before the last rotation: still checked, never signs."`
	ExpiryMinutes   int    `env:"JWT_EXPIRY_MINUTES" envDefault:"15" doc:"How long a token is good, in minutes (1 to 60)."`
	LifetimeHours   int    `env:"JWT_LIFETIME_HOURS" envDefault:"12" doc:"How long a token can be refreshed before the key must be shown again, in hours (1 to 168)."`
}

// Validate returns every problem, joined. No secret is shown in one. A missing
// key file is no problem here: gateways need none.
func (s Settings) Validate() error {
	var errs []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(s.Algorithm != HS256 && s.Algorithm != EdDSA, "NEXUS_JWT_ALGORITHM is %q: want HS256 or EdDSA", s.Algorithm)
	if s.Algorithm == HS256 {
		errs = append(errs, config.Secret("NEXUS_JWT_SECRET", s.Secret, minSecret, maxSecret))
		if s.PreviousSecret != "" {
			errs = append(errs, config.Secret("NEXUS_JWT_PREVIOUS_SECRET", s.PreviousSecret, minSecret, maxSecret))
		}
		add(s.PreviousSecret != "" && s.PreviousSecret == s.Secret, "NEXUS_JWT_PREVIOUS_SECRET is that of NEXUS_JWT_SECRET: want another, or none")
	}
	if s.Algorithm == EdDSA {
		add(s.PreviousKeyFile != "" && s.PreviousKeyFile == s.KeyFile, "NEXUS_JWT_PREVIOUS_KEY_FILE is that of NEXUS_JWT_KEY_FILE: want another, or none")
	}
	add(s.ExpiryMinutes < 1 || s.ExpiryMinutes > maxExpiry, "NEXUS_JWT_EXPIRY_MINUTES is %d: want 1 to %d", s.ExpiryMinutes, maxExpiry)
	add(s.LifetimeHours < 1 || s.LifetimeHours > maxLifetime, "NEXUS_JWT_LIFETIME_HOURS is %d: want 1 to %d", s.LifetimeHours, maxLifetime)
	return errors.Join(errs...)
}

// CheckProduction refuses the secret that anybody can read in the source.
func (s Settings) CheckProduction() error {
	if s.Algorithm != HS256 {
		return nil
	}
	const what = "%s is the development default, which anybody knows: set one of your own, such as that of `openssl rand -base64 48`"
	var errs []error
	if s.Secret == DevSecret {
		errs = append(errs, fmt.Errorf(what, "NEXUS_JWT_SECRET"))
	}
	if s.PreviousSecret == DevSecret {
		errs = append(errs, fmt.Errorf(what, "NEXUS_JWT_PREVIOUS_SECRET"))
	}
	return errors.Join(errs...)
}

func (s Settings) expiry() time.Duration   { return time.Duration(s.ExpiryMinutes) * time.Minute }
func (s Settings) lifetime() time.Duration { return time.Duration(s.LifetimeHours) * time.Hour }
