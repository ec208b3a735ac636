// Package keys answers who an API key belongs to, and writes down that keys are
// used.
package keys

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/services/auth/internal/store"
)

// touchEvery is how often the use of keys is written down.
const touchEvery = 2 * time.Second

// Store is where keys are kept.
type Store interface {
	FindByHash(ctx context.Context, hash string) (store.Key, error)
	FindByOwner(ctx context.Context, owner string) (store.Key, error)
	FindByID(ctx context.Context, id uuid.UUID) (store.Key, error)
	Touch(ctx context.Context, ids []uuid.UUID) error
}

// Verifier answers who a key belongs to. It is a run.Component: while it runs
// it writes down which keys were used.
type Verifier struct {
	store Store
	log   zerolog.Logger
	now   func() time.Time

	mu   sync.Mutex
	used map[uuid.UUID]struct{}
}

// New makes a verifier.
func New(st Store, log zerolog.Logger, now func() time.Time) *Verifier {
	return &Verifier{store: st, log: log, now: now, used: map[uuid.UUID]struct{}{}}
}

// ErrInvalid is the one answer to every key that is not good.
func ErrInvalid() error {
	return fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
}

var hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Verify answers who a key belongs to. Unknown, disabled and expired keys take
// the same path and get the same answer.
func (v *Verifier) Verify(ctx context.Context, req contract.VerifyRequest) (contract.VerifyReply, error) {
	if !hashForm.MatchString(req.KeyHash) {
		return contract.VerifyReply{}, fault.Invalidf("bad_key_hash", "The key hash is not a SHA-256.")
	}
	key, err := v.store.FindByHash(ctx, req.KeyHash)
	return v.reply(key, true, err)
}

// Owner answers what an owner may do now. It is asked about messages whose
// sender the NATS server has verified when it connected.
func (v *Verifier) Owner(ctx context.Context, req contract.OwnerRequest) (contract.VerifyReply, error) {
	if !contract.ValidToken(req.Owner) {
		return contract.VerifyReply{}, ErrInvalid()
	}
	key, err := v.store.FindByOwner(ctx, req.Owner)
	return v.reply(key, !req.Quiet, err)
}

// State answers what the bearer of a token may do now: its key may have changed
// since the token was signed.
func (v *Verifier) State(ctx context.Context, req contract.KeyRequest) (contract.VerifyReply, error) {
	id, err := uuid.Parse(req.KeyID)
	if err != nil {
		return contract.VerifyReply{}, ErrInvalid()
	}
	key, err := v.store.FindByID(ctx, id)
	return v.reply(key, true, err)
}

// reply is the answer to what was found, and notes that a good key was used.
func (v *Verifier) reply(key store.Key, used bool, err error) (contract.VerifyReply, error) {
	if err != nil && !errors.Is(err, store.ErrUnknown) {
		return contract.VerifyReply{}, fault.Wrap(fault.Unavailable, err, "Keys cannot be checked now.")
	}
	if err != nil || !key.Good(v.now()) {
		return contract.VerifyReply{}, ErrInvalid()
	}
	if used {
		v.mu.Lock()
		v.used[key.ID] = struct{}{}
		v.mu.Unlock()
	}
	reply := contract.VerifyReply{
		KeyID: key.ID.String(), Owner: key.Owner, Role: string(key.Role), RawModeEnabled: key.RawModeEnabled,
		KeyHashPrefix: identity.HashPrefix(key.KeyHash), ExpiresAt: key.ExpiresAt,
	}
	if key.RateLimitPerMinute != nil {
		reply.RateLimitPerMinute = *key.RateLimitPerMinute
	}
	return reply, nil
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
