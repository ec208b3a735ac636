// Package catalog keeps the job types at hand, so that no hot path asks the
// database for them.
package catalog

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

// refreshEvery bounds how long a changed job type goes unnoticed.
const refreshEvery = 2 * time.Second

// Source lists the job types.
type Source interface {
	JobTypes(ctx context.Context) ([]contract.JobType, error)
}

// Catalog is a run.Component that keeps itself up to date.
type Catalog struct {
	source Source
	log    zerolog.Logger
	types  atomic.Pointer[map[string]contract.JobType]
}

// New makes an empty catalog; Run fills it.
func New(source Source, log zerolog.Logger) *Catalog {
	c := &Catalog{source: source, log: log}
	c.types.Store(&map[string]contract.JobType{})
	return c
}

// Name implements run.Component.
func (c *Catalog) Name() string { return "job type catalog" }

// Run implements run.Component.
func (c *Catalog) Run(ctx context.Context, ready func()) error {
	if err := c.Refresh(ctx); err != nil {
		return err
	}
	ready()
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn().Err(err).Msg("could not refresh the job types; using the ones known")
			}
		}
	}
}

// Refresh reads the job types now.
func (c *Catalog) Refresh(ctx context.Context) error {
	list, err := c.source.JobTypes(ctx)
	if err != nil {
		return err
	}
	types := make(map[string]contract.JobType, len(list))
	for _, t := range list {
		types[t.Name] = t
	}
	c.types.Store(&types)
	return nil
}

// Lookup finds a job type that may be submitted by its name.
func (c *Catalog) Lookup(name string) (contract.JobType, bool) {
	t, ok := (*c.types.Load())[name]
	return t, ok && t.Enabled
}

// All is every job type by name, those that are switched off too. The map is a
// copy.
func (c *Catalog) All() map[string]contract.JobType { return maps.Clone(*c.types.Load()) }
