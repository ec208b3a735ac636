// Package identity says who a caller is and what a role may do. It verifies
// nothing itself: auth owns the keys, the gateway asks.
package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Role is a level of trust. Each role may do all that the ones before it may.
type Role string

// The roles, lowest first.
const (
	Viewer     Role = "viewer"
	Operator   Role = "operator"
	Researcher Role = "researcher"
	Admin      Role = "admin"
)

// Plugin is the role of a key that may serve the plugin named like its owner, and
// nothing else: it is below every other role and allows nothing.
const Plugin Role = "plugin"

// Roles lists the roles, lowest first.
func Roles() []Role { return []Role{Viewer, Operator, Researcher, Admin} }

// ParseRole refuses anything that is not a role.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Viewer, Operator, Researcher, Admin:
		return r, nil
	default:
		return "", fmt.Errorf("role %q: want viewer, operator, researcher or admin", s)
	}
}

// ParseKeyRole refuses anything that is no role of a key: besides the roles that
// ParseRole knows there is Plugin.
func ParseKeyRole(s string) (Role, error) {
	if Role(s) == Plugin {
		return Plugin, nil
	}
	r, err := ParseRole(s)
	if err != nil {
		return "", fmt.Errorf("role %q: want viewer, operator, researcher, admin or plugin", s)
	}
	return r, nil
}

func (r Role) level() int {
	for i, other := range Roles() {
		if r == other {
			return i + 1
		}
	}
	return 0
}

// Allows reports whether r may do what needs the role required. An unknown
// role allows nothing and is allowed to nobody.
func (r Role) Allows(required Role) bool {
	return r.level() > 0 && required.level() > 0 && r.level() >= required.level()
}

// Mode is how freely a job may treat its material.
type Mode string

// The modes.
const (
	ModePublic Mode = "PUBLIC"
	ModeRaw    Mode = "RAW"
)

// Caller is a verified identity.
type Caller struct {
	KeyID          string
	Owner          string
	Role           Role
	RawModeEnabled bool
	// KeyHashPrefix is the part of the key's hash that the audit trail shows.
	KeyHashPrefix string
	// RateLimitPerMinute is the key's own limit; zero means that of its role.
	RateLimitPerMinute int
	// ByToken says that a token was presented and not the key itself.
	ByToken bool
}

// MayUse reports whether the caller may use a mode. RAW needs the platform's
// own consent (rawEnabled), the key's, and a researcher.
func (c Caller) MayUse(mode Mode, rawEnabled bool) bool {
	switch mode {
	case ModePublic:
		return c.Role.Allows(Operator)
	case ModeRaw:
		return rawEnabled && c.RawModeEnabled && c.Role.Allows(Researcher)
	default:
		return false
	}
}

// Modes lists the modes a caller may use.
func (c Caller) Modes(rawEnabled bool) []Mode {
	modes := []Mode{}
	for _, m := range []Mode{ModePublic, ModeRaw} {
		if c.MayUse(m, rawEnabled) {
			modes = append(modes, m)
		}
	}
	return modes
}

// MaxKey is the longest key that is looked at, in bytes.
const MaxKey = 512

// HashKey is the form in which a key is stored and compared: the lower-case
// hexadecimal SHA-256 of its bytes. Keys are long and random, so no slow hash
// is needed.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// HashPrefixLength is how much of a key's hash the audit trail shows.
const HashPrefixLength = 12

// HashPrefix is the part of a key's hash that may be shown.
func HashPrefix(hash string) string {
	return hash[:min(len(hash), HashPrefixLength)]
}

type contextKey struct{}

// WithCaller puts a verified caller into ctx.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext is the caller that was verified for ctx.
func FromContext(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(contextKey{}).(Caller)
	return c, ok
}
