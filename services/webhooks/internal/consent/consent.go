// Package consent switches off what hears of the jobs of everybody once its owner
// is no admin any more.
package consent

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/services/webhooks/internal/hook"
)

// reason is what is said of a subscription that was switched off.
const reason = "its owner is no admin any more"

// Subscriptions knows those that hear of the jobs of everybody.
type Subscriptions interface {
	Everybodys() []hook.Subscription
}

// Disabler switches a subscription off and says why.
type Disabler interface {
	Disable(ctx context.Context, id uuid.UUID, reason string) error
}

// Keeper is a run.Component.
type Keeper struct {
	nc    *nats.Conn
	subs  Subscriptions
	off   Disabler
	log   zerolog.Logger
	every time.Duration
}

// New makes a keeper that asks for the owners so often.
func New(nc *nats.Conn, subs Subscriptions, off Disabler, log zerolog.Logger, every time.Duration) *Keeper {
	return &Keeper{nc: nc, subs: subs, off: off, log: log, every: every}
}

// Name implements run.Component.
func (k *Keeper) Name() string { return "webhook consent" }

// Run implements run.Component.
func (k *Keeper) Run(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		k.look(ctx)
	}
}

// look asks for each owner once. One that cannot be asked for is left as it is,
// and keeps nobody else from being asked for.
func (k *Keeper) look(ctx context.Context) {
	keep := map[string]bool{}
	for _, s := range k.subs.Everybodys() {
		if ctx.Err() != nil {
			return
		}
		kept, asked := keep[s.Owner]
		if !asked {
			admin, err := k.admin(ctx, s.Owner)
			if err != nil && ctx.Err() == nil {
				k.log.Warn().Err(err).Msg("could not ask whether the owner of a webhook is still an admin")
			}
			kept = admin || err != nil
			keep[s.Owner] = kept
		}
		if kept {
			continue
		}
		if err := k.off.Disable(ctx, s.ID, reason); err != nil && ctx.Err() == nil {
			k.log.Warn().Err(err).Str("webhook_id", s.ID.String()).Msg("could not switch a webhook off; it is tried again")
		}
	}
}

// admin asks whether an owner is one. The question is no use of the owner's key.
func (k *Keeper) admin(ctx context.Context, owner string) (bool, error) {
	reply, err := bus.Call[contract.VerifyReply](ctx, k.nc, contract.RPCAuthOwner, contract.OwnerRequest{Owner: owner, Quiet: true})
	switch {
	case fault.KindOf(err) == fault.Unauthenticated:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask what %s may do: %w", owner, err)
	}
	return identity.Role(reply.Role).Allows(identity.Admin), nil
}
