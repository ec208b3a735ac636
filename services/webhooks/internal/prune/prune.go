// Package prune deletes deliveries that ended long ago, a few at a time.
package prune

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

const (
	// every is the pause between two looks, and between the batches of one look.
	every, pause = time.Minute, 100 * time.Millisecond
	// batch bounds the rows of one statement.
	batch = 1000
)

// Store is where deliveries are kept.
type Store interface {
	Prune(ctx context.Context, status contract.DeliveryStatus, age time.Duration, limit int) (int, error)
}

// Pruner is a run.Component.
type Pruner struct {
	store Store
	log   zerolog.Logger
	ages  map[contract.DeliveryStatus]time.Duration
}

// New makes a pruner of deliveries that have ended longer ago than their age.
func New(st Store, log zerolog.Logger, delivered, failed time.Duration) *Pruner {
	return &Pruner{store: st, log: log, ages: map[contract.DeliveryStatus]time.Duration{
		contract.DeliveryDelivered: delivered, contract.DeliveryFailed: failed,
	}}
}

// Name implements run.Component.
func (p *Pruner) Name() string { return "webhook retention" }

// Run implements run.Component.
func (p *Pruner) Run(ctx context.Context, ready func()) error {
	ready()
	for {
		for status, age := range p.ages {
			p.prune(ctx, status, age)
		}
		if !wait(ctx, every) {
			return nil
		}
	}
}

func (p *Pruner) prune(ctx context.Context, status contract.DeliveryStatus, age time.Duration) {
	for {
		n, err := p.store.Prune(ctx, status, age, batch)
		if err != nil && ctx.Err() == nil {
			p.log.Warn().Err(err).Msg("could not delete old deliveries; it is tried again")
		}
		if err != nil || n < batch || !wait(ctx, pause) {
			return
		}
	}
}

// wait reports whether there is still something to wait for.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
