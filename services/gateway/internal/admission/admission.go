// Package admission decides at both doors who a caller is and what they may
// ask for. It asks the auth service and remembers answers for seconds.
package admission

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/publicnet"
	"nexus.internal/libs/token"
)

const (
	// rememberFor bounds how long an ended key may still be let in where the
	// event that tells of it was lost.
	rememberFor = 5 * time.Second
	// rememberTypesFor bounds how long a changed job type goes unnoticed.
	rememberTypesFor = 2 * time.Second
	// maxRemembered bounds the memory of the cache.
	maxRemembered = 10_000
	// maxAsked is how many questions about callers may be open at once.
	maxAsked = 64
	// askWithin bounds a question that several requests may wait for.
	askWithin = 5 * time.Second
)

// Options are the platform's own consents. A feature cannot give what one of
// them denies.
type Options struct {
	// RawEnabled allows RAW mode to those whose key and role allow it.
	RawEnabled bool
	// AsyncEnabled allows execution_mode async.
	AsyncEnabled bool
	// ShadowEnabled allows execution_mode shadow.
	ShadowEnabled bool
	// MLEnabled allows plugins that learn.
	MLEnabled bool
	// PrivateWebhooks allows the webhooks of jobs to lead to private addresses.
	PrivateWebhooks bool
	// MaxPayload is the largest payload taken, in bytes.
	MaxPayload int
}

// Admission verifies callers and what they ask for. It is a run.Component:
// while it runs it hears of changed keys and features and forgets them at once.
type Admission struct {
	nc      *nats.Conn
	log     zerolog.Logger
	now     func() time.Time
	opts    Options
	tokens  *token.Verifier
	schemas *schemas
	hosts   publicnet.Guard

	asking singleflight.Group
	// asked bounds how many questions about callers are open at once: unknown
	// keys are free to make, and each is a question.
	asked chan struct{}
	mu    sync.RWMutex
	// heard counts the changes heard of: an answer that was asked for before one
	// is not remembered.
	heard uint64
	known map[string]remembered
	// refused are keys that were not good a moment ago.
	refused  map[string]time.Time
	features map[string]contract.Feature
	types    map[string]contract.JobType
	// typesUntil and featuresUntil are when they must be asked for again.
	typesUntil, featuresUntil time.Time
	// keysAsked is when the key set was last asked for.
	keysAsked time.Time
}

type remembered struct {
	caller identity.Caller
	until  time.Time
}

// New makes an admission. tokens checks tokens.
func New(nc *nats.Conn, tokens *token.Verifier, opts Options, log zerolog.Logger, now func() time.Time) *Admission {
	return &Admission{nc: nc, tokens: tokens, log: log, now: now, opts: opts, schemas: newSchemas(), hosts: publicnet.New(), asked: make(chan struct{}, maxAsked), known: map[string]remembered{}, refused: map[string]time.Time{}}
}

// ErrUnauthenticated is the one answer to every missing or bad key or token.
func ErrUnauthenticated() error {
	return fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
}

// Known is the caller of a credential that was found good a moment ago.
func (a *Admission) Known(c Credential) (identity.Caller, bool) {
	if c.Key == "" || len(c.Key) > identity.MaxKey {
		return identity.Caller{}, false
	}
	return a.recall(byHash + identity.HashKey(c.Key))
}

// Refused says that a key was not good a moment ago, and nothing was heard since.
func (a *Admission) Refused(c Credential) bool {
	if c.Key == "" || len(c.Key) > identity.MaxKey {
		return false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.now().Before(a.refused[byHash+identity.HashKey(c.Key)])
}

// Identify answers who presented a credential.
func (a *Admission) Identify(ctx context.Context, c Credential) (identity.Caller, error) {
	switch {
	case c.Token != "":
		return a.bearer(ctx, c.Token)
	case c.Key == "" || len(c.Key) > identity.MaxKey:
		return identity.Caller{}, ErrUnauthenticated()
	default:
		hash := identity.HashKey(c.Key)
		return a.ask(ctx, byHash+hash, contract.RPCAuthVerify, contract.VerifyRequest{KeyHash: hash})
	}
}

// Owner answers what an owner may do whose key the NATS server has verified.
func (a *Admission) Owner(ctx context.Context, owner string) (identity.Caller, error) {
	return a.ask(ctx, byOwner+owner, contract.RPCAuthOwner, contract.OwnerRequest{Owner: owner})
}

// What an answer is remembered under begins with what was asked.
const (
	byHash  = "hash:"
	byOwner = "owner:"
	byKeyID = "key:"
)

func (a *Admission) recall(memory string) (identity.Caller, bool) {
	a.mu.RLock()
	r, ok := a.known[memory]
	a.mu.RUnlock()
	if ok && a.now().Before(r.until) {
		return r.caller, true
	}
	return identity.Caller{}, false
}

// ask asks the auth service, or remembers what it said. Requests that ask for
// the same at once ask together.
func (a *Admission) ask(ctx context.Context, memory, subject string, req any) (identity.Caller, error) {
	if caller, ok := a.recall(memory); ok {
		return caller, nil
	}
	shared := context.WithoutCancel(ctx)
	answer := a.asking.DoChan(memory, func() (any, error) {
		ctx, cancel := context.WithTimeout(shared, askWithin)
		defer cancel()
		return a.learn(ctx, memory, subject, req)
	})
	select {
	case got := <-answer:
		if got.Err != nil {
			return identity.Caller{}, got.Err
		}
		caller, _ := got.Val.(identity.Caller)
		return caller, nil
	case <-ctx.Done():
		return identity.Caller{}, fault.Wrap(fault.Unavailable, ctx.Err(), "Keys cannot be checked now.")
	}
}

func (a *Admission) learn(ctx context.Context, memory, subject string, req any) (identity.Caller, error) {
	select {
	case a.asked <- struct{}{}:
		defer func() { <-a.asked }()
	case <-ctx.Done():
		return identity.Caller{}, fault.Wrap(fault.Unavailable, ctx.Err(), "Keys cannot be checked now.")
	}
	a.mu.RLock()
	heard := a.heard
	a.mu.RUnlock()
	reply, err := bus.Call[contract.VerifyReply](ctx, a.nc, subject, req)
	if err != nil {
		a.refuse(memory, heard, err)
		return identity.Caller{}, err
	}
	role, err := identity.ParseKeyRole(reply.Role)
	if err != nil {
		return identity.Caller{}, fmt.Errorf("verify a caller: %w", err)
	}
	caller := identity.Caller{
		KeyID: reply.KeyID, Owner: reply.Owner, Role: role, RawModeEnabled: reply.RawModeEnabled,
		KeyHashPrefix: reply.KeyHashPrefix, RateLimitPerMinute: reply.RateLimitPerMinute,
	}
	until := a.now().Add(rememberFor)
	if reply.ExpiresAt != nil && reply.ExpiresAt.Before(until) {
		until = *reply.ExpiresAt
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.heard != heard {
		// A key has changed meanwhile, perhaps this one: the answer is as good
		// as any given a moment ago, but is not kept.
		return caller, nil
	}
	if len(a.known) >= maxRemembered {
		clear(a.known)
	}
	a.known[memory] = remembered{caller, until}
	return caller, nil
}

// refuse remembers that a caller is not known.
func (a *Admission) refuse(memory string, heard uint64, err error) {
	if fault.KindOf(err) != fault.Unauthenticated {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.heard != heard {
		return
	}
	if len(a.refused) >= maxRemembered {
		clear(a.refused)
	}
	a.refused[memory] = a.now().Add(rememberFor)
}

// RequireRole refuses callers below a role.
func RequireRole(caller identity.Caller, required identity.Role) error {
	if caller.Role.Allows(required) {
		return nil
	}
	return fault.Forbiddenf("Role '%s' lacks required permission '%s'", caller.Role, required)
}

// Modes lists the modes a caller may use.
func (a *Admission) Modes(ctx context.Context, caller identity.Caller) ([]identity.Mode, error) {
	raw, err := a.Open(ctx, contract.FeatureRawMode, caller.Role)
	if err != nil {
		return nil, err
	}
	return caller.Modes(raw), nil
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
