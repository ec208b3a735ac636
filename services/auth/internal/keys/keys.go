// Package keys verifies API keys and tells the audit trail of every decision.
package keys

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/auth/internal/store"
)

// touchEvery is how often the use of keys is written down.
const touchEvery = 2 * time.Second

// Store is where keys are kept.
type Store interface {
	FindByHash(ctx context.Context, hash string) (store.Key, error)
	FindByOwner(ctx context.Context, owner string) (store.Key, error)
	Touch(ctx context.Context, ids []uuid.UUID) error
}

// Publisher publishes events.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Verifier answers who a key belongs to. It is a run.Component: while it runs
// it writes down which keys were used.
type Verifier struct {
	store Store
	pub   Publisher
	log   zerolog.Logger
	now   func() time.Time

	mu   sync.Mutex
	used map[uuid.UUID]struct{}
}

// New makes a verifier.
func New(st Store, pub Publisher, log zerolog.Logger, now func() time.Time) *Verifier {
	return &Verifier{store: st, pub: pub, log: log, now: now, used: map[uuid.UUID]struct{}{}}
}

// errInvalid is the one answer to every key that is not good.
func errInvalid() error {
	return fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
}

var hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Verify answers who a key belongs to. Unknown and disabled keys take the same
// path and get the same answer.
func (v *Verifier) Verify(ctx context.Context, req contract.VerifyRequest) (contract.VerifyReply, error) {
	if !hashForm.MatchString(req.KeyHash) {
		return contract.VerifyReply{}, fault.Invalidf("bad_key_hash", "The key hash is not a SHA-256.")
	}
	key, err := v.store.FindByHash(ctx, req.KeyHash)
	if err != nil && !errors.Is(err, store.ErrUnknown) {
		return contract.VerifyReply{}, fault.Wrap(fault.Unavailable, err, "Keys cannot be checked now.")
	}
	if err != nil || !key.Enabled {
		v.tell(ctx, contract.WhatAuthFailure, req, store.Key{})
		return contract.VerifyReply{}, errInvalid()
	}
	v.mu.Lock()
	v.used[key.ID] = struct{}{}
	v.mu.Unlock()
	v.tell(ctx, contract.WhatAuthSuccess, req, key)
	return replyOf(key), nil
}

// Owner answers what an owner may do now. It is asked about messages whose
// sender the NATS server has verified when it connected.
func (v *Verifier) Owner(ctx context.Context, req contract.OwnerRequest) (contract.VerifyReply, error) {
	if !contract.ValidToken(req.Owner) {
		return contract.VerifyReply{}, errInvalid()
	}
	key, err := v.store.FindByOwner(ctx, req.Owner)
	if err != nil && !errors.Is(err, store.ErrUnknown) {
		return contract.VerifyReply{}, fault.Wrap(fault.Unavailable, err, "Keys cannot be checked now.")
	}
	if err != nil || !key.Enabled {
		return contract.VerifyReply{}, errInvalid()
	}
	return replyOf(key), nil
}

func replyOf(key store.Key) contract.VerifyReply {
	return contract.VerifyReply{KeyID: key.ID.String(), Owner: key.Owner, Role: string(key.Role), RawModeEnabled: key.RawModeEnabled}
}

// tell publishes an auth event. A broker that is away must not keep anybody
// out, so a failure is only logged.
func (v *Verifier) tell(ctx context.Context, what string, req contract.VerifyRequest, key store.Key) {
	message, err := authEvent(ctx, what, req, key, v.now().UTC())
	if err == nil {
		err = v.pub.Publish(ctx, message)
	}
	if err != nil {
		v.log.Error().Err(err).Str(telemetry.FieldRequestID, req.RequestID).Msg("an auth event could not be published")
	}
}

func authEvent(ctx context.Context, what string, req contract.VerifyRequest, key store.Key, now time.Time) (bus.Message, error) {
	data, err := json.Marshal(contract.AuthDecision{
		KeyHashPrefix: identity.HashPrefix(req.KeyHash), Role: string(key.Role), Endpoint: req.Endpoint, Address: req.Address,
	})
	if err != nil {
		return bus.Message{}, err
	}
	actor, word := key.Owner, string(key.Role)
	if actor == "" {
		actor, word = "anonymous", "anonymous"
	}
	return bus.EventMessage(contract.AreaAuth, what, word, contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaAuth, what), Time: now, Source: "nexus.auth", Actor: actor,
		RequestID: req.RequestID, TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
}

// Name implements run.Component.
func (v *Verifier) Name() string { return "key use" }

// Run implements run.Component.
func (v *Verifier) Run(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(touchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			v.touch(last)
			return nil
		case <-tick.C:
			v.touch(ctx)
		}
	}
}

func (v *Verifier) touch(ctx context.Context) {
	v.mu.Lock()
	ids := make([]uuid.UUID, 0, len(v.used))
	for id := range v.used {
		ids = append(ids, id)
	}
	clear(v.used)
	v.mu.Unlock()
	if err := v.store.Touch(ctx, ids); err != nil {
		v.log.Warn().Err(err).Msg("could not write down the use of keys")
	}
}
