// Package prune forgets what is old: finished jobs, workers that are gone,
// parts of commands that were never whole, outputs of runs that ended otherwise. It works in small steps with pauses,
// so that those who submit and run jobs do not feel it.
package prune

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
	"nexus.internal/services/jobs/internal/store"
)

const (
	// passEvery is how often old jobs are looked for.
	passEvery = 10 * time.Minute
	// pause lies between two steps of a pass.
	pause = 100 * time.Millisecond
	// forgetWorkers is how long a worker that is gone is still listed.
	forgetWorkers = 24 * time.Hour
	// forgetParts is how long the rest of a command is waited for.
	forgetParts = time.Hour
)

// Pruner is a run.Component.
type Pruner struct {
	store *store.Store
	keep  map[contract.Status]time.Duration
	log   zerolog.Logger
}

// New makes a pruner. keep is how long jobs are kept after their end, by the
// state they ended in; those of other states are kept for ever.
func New(st *store.Store, keep map[contract.Status]time.Duration, log zerolog.Logger) *Pruner {
	return &Pruner{store: st, keep: keep, log: log}
}

// Name implements run.Component.
func (p *Pruner) Name() string { return "pruner" }

// Run implements run.Component.
func (p *Pruner) Run(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(passEvery)
	defer tick.Stop()
	for {
		if err := p.pass(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn().Err(err).Msg("could not forget what is old; the next pass will")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *Pruner) pass(ctx context.Context) error {
	err := errors.Join(p.store.PruneWorkers(ctx, forgetWorkers), p.store.PruneParts(ctx, forgetParts), p.store.DropStaged(ctx))
	for status, age := range p.keep {
		err = errors.Join(err, p.jobs(ctx, status, age))
	}
	return err
}

func (p *Pruner) jobs(ctx context.Context, status contract.Status, age time.Duration) error {
	var at store.PlaceInTime
	total := 0
	for {
		n, next, more, err := p.store.Prune(ctx, status, age, at)
		if err != nil {
			return err
		}
		at = next
		if total += n; !more {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	if total > 0 {
		p.log.Info().Int("jobs", total).Str("status", string(status)).Msg("pruned old jobs")
	}
	return nil
}
