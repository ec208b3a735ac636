// Package admission decides at both doors who a caller is and what they may
// ask for. It asks the auth service and remembers answers for seconds.
package admission

import (
	"context"
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
	// rememberTypesFor bounds how long a changed job type goes unnoticed.
	rememberTypesFor = 2 * time.Second
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

// Options are the platform's own consents.
type Options struct {
	// RawEnabled allows RAW mode to those whose key and role allow it.
	RawEnabled bool
	// AsyncEnabled allows execution_mode async.
	AsyncEnabled bool
	// MaxPayload is the largest payload taken, in bytes.
	MaxPayload int
}

// Admission verifies callers and what they ask for.
type Admission struct {
	nc      *nats.Conn
	now     func() time.Time
	opts    Options
	schemas *schemas

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

// New makes an admission.
func New(nc *nats.Conn, opts Options, now func() time.Time) *Admission {
	return &Admission{nc: nc, now: now, opts: opts, schemas: newSchemas(), known: map[string]remembered{}}
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
	caller, err := a.ask(ctx, "key:"+hash, contract.RPCAuthVerify, contract.VerifyRequest{
		KeyHash: hash, Endpoint: req.Endpoint, Address: req.Address, RequestID: req.RequestID,
	})
	caller.KeyHash = hash
	return caller, err
}

// Owner answers what an owner may do whose key the NATS server has verified.
func (a *Admission) Owner(ctx context.Context, owner string) (identity.Caller, error) {
	return a.ask(ctx, "owner:"+owner, contract.RPCAuthOwner, contract.OwnerRequest{Owner: owner})
}

// ask asks the auth service, or remembers what it said.
func (a *Admission) ask(ctx context.Context, memory, subject string, req any) (identity.Caller, error) {
	a.mu.RLock()
	r, ok := a.known[memory]
	a.mu.RUnlock()
	if ok && a.now().Before(r.until) {
		return r.caller, nil
	}
	reply, err := bus.Call[contract.VerifyReply](ctx, a.nc, subject, req)
	if err != nil {
		return identity.Caller{}, err
	}
	role, err := identity.ParseRole(reply.Role)
	if err != nil {
		return identity.Caller{}, fmt.Errorf("verify a caller: %w", err)
	}
	caller := identity.Caller{KeyID: reply.KeyID, Owner: reply.Owner, Role: role, RawModeEnabled: reply.RawModeEnabled}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxRemembered {
		clear(a.known)
	}
	a.known[memory] = remembered{caller, a.now().Add(rememberFor)}
	return caller, nil
}

// RequireRole refuses callers below a role.
func RequireRole(caller identity.Caller, required identity.Role) error {
	if caller.Role.Allows(required) {
		return nil
	}
	return fault.Forbiddenf("Role '%s' lacks required permission '%s'", caller.Role, required)
}

// Modes lists the modes a caller may use.
func (a *Admission) Modes(caller identity.Caller) []identity.Mode {
	return caller.Modes(a.opts.RawEnabled)
}

func (a *Admission) jobType(ctx context.Context, name string) (contract.JobType, error) {
	types, err := a.jobTypes(ctx)
	if err != nil {
		return contract.JobType{}, err
	}
	t, ok := types[name]
	if !ok || !t.Enabled {
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
	a.types, a.typesUntil = types, a.now().Add(rememberTypesFor)
	a.mu.Unlock()
	return types, nil
}
