// Package admission decides at both doors who a caller is and what they may
// ask for. It asks the auth service and remembers answers for seconds.
package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
)

const (
	// rememberFor bounds how long a revoked key may still be let in.
	rememberFor = 5 * time.Second
	// maxRemembered bounds the memory of the cache.
	maxRemembered = 10_000
	// maxKey is the longest key looked at, in bytes.
	maxKey = 512
)

// Request says where a key was presented.
type Request struct {
	Endpoint  string
	Address   string
	RequestID string
}

// Admission verifies callers.
type Admission struct {
	nc         *nats.Conn
	now        func() time.Time
	rawEnabled bool

	mu    sync.RWMutex
	known map[string]remembered
	types map[string]contract.JobType
	// typesUntil is when types must be asked for again.
	typesUntil time.Time
}

type remembered struct {
	caller identity.Caller
	until  time.Time
}

// New makes an admission. rawEnabled is the platform's consent to RAW mode.
func New(nc *nats.Conn, rawEnabled bool, now func() time.Time) *Admission {
	return &Admission{nc: nc, now: now, rawEnabled: rawEnabled, known: map[string]remembered{}}
}

// ErrUnauthenticated is the one answer to every missing or bad key.
func ErrUnauthenticated() error {
	return fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
}

// Identify answers who presented a key.
func (a *Admission) Identify(ctx context.Context, key string, req Request) (identity.Caller, error) {
	if key == "" || len(key) > maxKey {
		return identity.Caller{}, ErrUnauthenticated()
	}
	hash := identity.HashKey(key)
	a.mu.RLock()
	r, ok := a.known[hash]
	a.mu.RUnlock()
	if ok && a.now().Before(r.until) {
		return r.caller, nil
	}
	reply, err := bus.Call[contract.VerifyReply](ctx, a.nc, contract.RPCAuthVerify, contract.VerifyRequest{
		KeyHash: hash, Endpoint: req.Endpoint, Address: req.Address, RequestID: req.RequestID,
	})
	if err != nil {
		return identity.Caller{}, err
	}
	role, err := identity.ParseRole(reply.Role)
	if err != nil {
		return identity.Caller{}, fmt.Errorf("verify a key: %w", err)
	}
	caller := identity.Caller{KeyID: reply.KeyID, Owner: reply.Owner, Role: role, RawModeEnabled: reply.RawModeEnabled, KeyHash: hash}
	a.remember(hash, caller)
	return caller, nil
}

func (a *Admission) remember(hash string, caller identity.Caller) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxRemembered {
		clear(a.known)
	}
	a.known[hash] = remembered{caller, a.now().Add(rememberFor)}
}

// RequireRole refuses callers below a role.
func RequireRole(caller identity.Caller, required identity.Role) error {
	if caller.Role.Allows(required) {
		return nil
	}
	return fault.Forbiddenf("Role '%s' lacks required permission '%s'", caller.Role, required)
}

// Modes lists the modes a caller may use.
func (a *Admission) Modes(caller identity.Caller) []identity.Mode { return caller.Modes(a.rawEnabled) }

// JobType finds a job type by name.
func (a *Admission) JobType(ctx context.Context, name string) (contract.JobType, error) {
	types, err := a.jobTypes(ctx)
	if err != nil {
		return contract.JobType{}, err
	}
	t, ok := types[name]
	if !ok {
		return contract.JobType{}, fault.Invalidf(contract.CodeUnknownJobType, "Unknown job_type '%s'", name)
	}
	return t, nil
}

func (a *Admission) jobTypes(ctx context.Context) (map[string]contract.JobType, error) {
	a.mu.RLock()
	types, fresh := a.types, a.now().Before(a.typesUntil)
	a.mu.RUnlock()
	if fresh {
		return types, nil
	}
	reply, err := bus.Call[contract.JobTypesReply](ctx, a.nc, contract.RPCJobsTypes, struct{}{})
	if err != nil {
		if types != nil {
			// An old answer is better than none: the recorder checks again.
			return types, nil
		}
		return nil, err
	}
	types = make(map[string]contract.JobType, len(reply.JobTypes))
	for _, t := range reply.JobTypes {
		types[t.Name] = t
	}
	a.mu.Lock()
	a.types, a.typesUntil = types, a.now().Add(rememberFor)
	a.mu.Unlock()
	return types, nil
}

// CheckMode refuses a payload whose mode the caller may not use. A payload
// without a mode means PUBLIC.
func (a *Admission) CheckMode(caller identity.Caller, t contract.JobType, payload json.RawMessage) error {
	if !t.ModeGated {
		return nil
	}
	var p struct {
		Mode *string `json:"mode"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return fault.Unprocessablef("payload.mode must be a text")
	}
	mode := identity.ModePublic
	if p.Mode != nil {
		mode = identity.Mode(*p.Mode)
	}
	if mode != identity.ModePublic && mode != identity.ModeRaw {
		return fault.Unprocessablef("Unknown mode '%s': want PUBLIC or RAW", mode)
	}
	if !caller.MayUse(mode, a.rawEnabled) {
		return fault.Forbiddenf("Mode '%s' is not allowed for this key", mode)
	}
	return nil
}
