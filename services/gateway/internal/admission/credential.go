package admission

import (
	"strings"

	"nexus.internal/libs/identity"
)

// Credential is what a caller presented.
type Credential struct {
	// Key is an API key, Token a signed token. At most one is set.
	Key, Token string
}

// KeyHash is the hash of the key; empty for a token.
func (c Credential) KeyHash() string {
	if c.Key == "" {
		return ""
	}
	return identity.HashKey(c.Key)
}

// looksLikeToken tells a token (RFC 7519: three parts with dots between) from
// an API key, which holds no dot unless somebody chose one.
func looksLikeToken(s string) bool { return strings.Count(s, ".") == 2 && strings.HasPrefix(s, "ey") }

// CredentialOf reads what a caller presented: the header for keys goes before
// the bearer value, which may be a key as well, since many clients can send
// nothing else.
func CredentialOf(apiKey, authorization string) Credential {
	if apiKey != "" {
		return Credential{Key: apiKey}
	}
	scheme, value, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return Credential{}
	}
	if value = strings.TrimSpace(value); looksLikeToken(value) {
		return Credential{Token: value}
	}
	return Credential{Key: value}
}
