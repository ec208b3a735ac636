package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/services/jobs/internal/catalog"
	"nexus.internal/services/jobs/internal/schedule"
	"nexus.internal/services/jobs/internal/store"
)

// lanesEvery is how often the lanes of the queues are looked after.
const lanesEvery = 10 * time.Second

// Rebuild gives a broker that has lost its store what the recorded jobs need:
// the lanes of all queues, and the run messages that are gone. The streams must
// be there. It may run beside the service, and twice.
func Rebuild(ctx context.Context, deps Deps) error {
	pub := bus.NewPublisher(deps.JS, "jobs", deps.Now)
	st := store.New(deps.DB, outbox.New(deps.DB, "jobs", pub, deps.Log), deps.Now)
	types := catalog.New(st, deps.Log)
	if err := types.Refresh(ctx); err != nil {
		return err
	}
	if err := provisionLanes(ctx, deps, types); err != nil {
		return err
	}
	return schedule.New(st, deps.JS, types, time.Second, deps.Worker.Lease(), deps.Worker.Name, deps.Log).DispatchLost(ctx, 0)
}

// provisionLanes makes the consumers of every queue that are missing.
func provisionLanes(ctx context.Context, deps Deps, types *catalog.Catalog) error {
	seen := map[string]bool{}
	for _, t := range types.All() {
		if seen[t.Queue] {
			continue
		}
		seen[t.Queue] = true
		if err := bus.Provision(ctx, deps.JS, nil, contract.QueueConsumers(t.Queue, deps.Worker.Lease())); err != nil {
			return err
		}
	}
	return nil
}

// keepLanes sees to it that every queue has its lanes, and says what to do when
// the broker has lost its streams.
func (s *Service) keepLanes(ctx context.Context, ready func()) error {
	if err := provisionLanes(ctx, s.deps, s.catalog); err != nil {
		return err
	}
	ready()
	tick := time.NewTicker(lanesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := provisionLanes(ctx, s.deps, s.catalog)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, jetstream.ErrStreamNotFound):
			s.deps.Log.Error().Err(err).Msg("the broker has lost its streams; `nexus rebuild-broker` makes them again and sends what is not finished")
		default:
			s.deps.Log.Warn().Err(err).Msg("could not look after the lanes of the queues")
		}
	}
}
