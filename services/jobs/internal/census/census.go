// Package census knows how many jobs wait and run, by their type, without asking the
// database when somebody looks: it counts them now and then, the less often the longer
// that takes.
package census

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/metrics"
	"nexus.internal/services/jobs/internal/store"
)

const (
	// shortest and longest are between two counts.
	shortest, longest = 2 * time.Second, 30 * time.Second
	// dutyCycle is how much longer the pause is than the quicker of the last two
	// counts: one that was slow by chance holds up nothing.
	dutyCycle = 20
	// countWithin bounds a count.
	countWithin = 20 * time.Second
	// maxMet bounds the types that are expected.
	maxMet = 200
)

// Store counts jobs.
type Store interface {
	Live(ctx context.Context) ([]store.Live, error)
	// Expect begins to count what happens to jobs of a type of a queue.
	Expect(jobType, queue string)
}

// Types knows the job types.
type Types interface {
	All() map[string]contract.JobType
}

// Census is a run.Component.
type Census struct {
	store Store
	types Types
	log   zerolog.Logger
	on    bool
	// met are the types that are expected already.
	met map[string]bool

	mu    sync.Mutex
	known []store.Live
	// at is when they were counted; zero until then.
	at time.Time
}

// New makes a census that tells set what it counts.
func New(st Store, types Types, set *metrics.Set, log zerolog.Logger) *Census {
	c := &Census{store: st, types: types, log: log, on: set != nil, met: map[string]bool{}}
	for name, read := range map[string]func(store.Live, time.Duration) float64{
		metrics.JobsQueued:    func(l store.Live, _ time.Duration) float64 { return float64(l.Queued) },
		metrics.JobsRunning:   func(l store.Live, _ time.Duration) float64 { return float64(l.Running) },
		metrics.JobsRetryWait: func(l store.Live, _ time.Duration) float64 { return float64(l.RetryWait) },
		metrics.JobsBacklogAge: func(l store.Live, since time.Duration) float64 {
			if l.Oldest == 0 {
				return 0
			}
			return (l.Oldest + since).Seconds()
		},
	} {
		set.Observe(name, func(say metrics.Say) {
			known, at := c.latest()
			for _, l := range known {
				say(read(l, time.Since(at)), l.JobType)
			}
		})
	}
	set.Observe(metrics.JobsCountAge, func(say metrics.Say) {
		if _, at := c.latest(); !at.IsZero() {
			say(time.Since(at).Seconds())
		}
	})
	return c
}

func (c *Census) latest() ([]store.Live, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known, c.at
}

// Name implements run.Component.
func (c *Census) Name() string { return "job census" }

// Run implements run.Component.
func (c *Census) Run(ctx context.Context, ready func()) error {
	ready()
	if !c.on {
		<-ctx.Done()
		return nil
	}
	for before := time.Duration(0); ; {
		took := c.count(ctx)
		pause := time.NewTimer(min(max(shortest, dutyCycle*min(took, before)), longest))
		before = took
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// count counts once, and returns how long that took.
func (c *Census) count(ctx context.Context) time.Duration {
	start := time.Now()
	within, cancel := context.WithTimeout(ctx, countWithin)
	defer cancel()
	var live []store.Live
	err := fault.Guard(func() (err error) {
		live, err = c.store.Live(within)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			c.log.Debug().Err(err).Msg("the jobs could not be counted")
		}
		return time.Since(start)
	}
	// Types that have no jobs now have none, which is something else than unknown.
	counted := map[string]bool{}
	for _, l := range live {
		counted[l.JobType] = true
	}
	for name, t := range c.types.All() {
		if t.Enabled && !c.met[name] && len(c.met) < maxMet {
			c.met[name] = true
			c.store.Expect(name, t.Queue)
		}
		if t.Enabled && !counted[name] {
			live = append(live, store.Live{JobType: name})
		}
	}
	c.mu.Lock()
	c.known, c.at = live, time.Now()
	c.mu.Unlock()
	return time.Since(start)
}
