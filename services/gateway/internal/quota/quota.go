// Package quota says how often a caller may ask, and counts it: the key's own
// limit, or that of its role.
//
// How a limit holds across replicas is in package limit.
package quota

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/services/gateway/internal/limit"
)

// Defaults are the limits of the roles, in requests a minute; zero is none.
type Defaults map[identity.Role]int

// ParseDefaults reads "viewer=600,operator=6000": a role that is not named has
// no limit, and neither has one with 0.
func ParseDefaults(s string) (Defaults, error) {
	out := Defaults{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		role, err := identity.ParseRole(strings.TrimSpace(name))
		if err != nil || !ok {
			return nil, fmt.Errorf("%q: want role=requests a minute", part)
		}
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || n < 0 || n > contract.MaxRateLimit {
			return nil, fmt.Errorf("%q: want 0 to %d requests a minute", part, contract.MaxRateLimit)
		}
		if _, twice := out[role]; twice {
			return nil, fmt.Errorf("%s is named twice", role)
		}
		out[role] = n
	}
	return out, nil
}

// Buckets keeps buckets.
type Buckets interface {
	Allow(ctx context.Context, bucket string, perMinute int) limit.Verdict
}

// Quota counts the requests of callers.
type Quota struct {
	buckets  Buckets
	defaults Defaults
}

// New makes a quota.
func New(buckets Buckets, defaults Defaults) *Quota { return &Quota{buckets, defaults} }

// Take counts one request. A key and its tokens share one bucket.
func (q *Quota) Take(ctx context.Context, caller identity.Caller) limit.Verdict {
	perMinute := caller.RateLimitPerMinute
	if perMinute == 0 {
		perMinute = q.defaults[caller.Role]
	}
	return q.buckets.Allow(ctx, "key:"+caller.KeyID, perMinute)
}
