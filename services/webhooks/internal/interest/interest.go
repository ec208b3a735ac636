// Package interest knows, without asking the database, who wants to hear of an
// event: it keeps the subscriptions in memory and looks every second whether one
// has changed.
package interest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
	"nexus.internal/services/webhooks/internal/hook"
)

const (
	// lookEvery bounds how long a change that another process made goes unnoticed.
	lookEvery = time.Second
	// staleAfter is how old the last look may be that is still relied on. Without
	// a database nobody knows whether somebody wants an event.
	staleAfter = 3 * time.Second
	// lookWithin bounds one look.
	lookWithin = 5 * time.Second
	// slack is how much older than a subscription an event may be that it still
	// hears of: two clocks are never the same.
	slack = time.Minute
)

// Source is where subscriptions are kept.
type Source interface {
	// Revision changes whenever a subscription does.
	Revision(ctx context.Context) (int64, error)
	// Enabled are the subscriptions that are switched on, with a revision that is
	// not newer than they are.
	Enabled(ctx context.Context) (int64, []hook.Subscription, error)
}

// Interest is a run.Component.
type Interest struct {
	source Source
	log    zerolog.Logger
	// loading keeps an older answer from replacing a newer one.
	loading sync.Mutex
	known   atomic.Pointer[index]
	looked  atomic.Pointer[look]
}

// look is a look that found everything as it is known.
type look struct {
	at time.Time
	// next is closed when there is a newer one.
	next chan struct{}
}

// index is the subscriptions of one revision; it never changes.
type index struct {
	revision int64
	byOwner  map[string][]hook.Subscription
	all      []hook.Subscription
	// kinds are what anybody wants; a kind without a type of job is wanted for
	// every type.
	kinds map[kind]bool
}

type kind struct{ event, jobType string }

// New makes one that knows of no subscription yet.
func New(source Source, log zerolog.Logger) *Interest {
	i := &Interest{source: source, log: log}
	i.known.Store(&index{revision: -1})
	i.looked.Store(&look{next: make(chan struct{})})
	return i
}

// Name implements run.Component.
func (i *Interest) Name() string { return "webhook subscriptions" }

// Run implements run.Component. It is ready once the subscriptions are known:
// events that pass before would be missed.
func (i *Interest) Run(ctx context.Context, ready func()) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	loaded := false
	for {
		if err := i.Refresh(ctx); err != nil && ctx.Err() == nil {
			i.log.Warn().Err(err).Msg("could not look for changed webhooks; those known go on")
		} else if !loaded {
			loaded = true
			ready()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Refresh looks for changes now.
func (i *Interest) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	i.loading.Lock()
	defer i.loading.Unlock()
	began := time.Now()
	revision, err := i.source.Revision(ctx)
	if err != nil {
		return err
	}
	if revision != i.known.Load().revision {
		if err := i.load(ctx); err != nil {
			return err
		}
	}
	close(i.looked.Swap(&look{at: began, next: make(chan struct{})}).next)
	return nil
}

func (i *Interest) load(ctx context.Context) error {
	revision, subs, err := i.source.Enabled(ctx)
	if err != nil {
		return err
	}
	next := &index{revision: revision, byOwner: map[string][]hook.Subscription{}, kinds: map[kind]bool{}}
	for _, s := range subs {
		for _, event := range contract.WebhookEvents() {
			if s.Wants(event, s.JobType) {
				next.kinds[kind{event, s.JobType}] = true
			}
		}
		if s.All {
			next.all = append(next.all, s)
			continue
		}
		next.byOwner[s.Owner] = append(next.byOwner[s.Owner], s)
	}
	i.known.Store(next)
	return nil
}

// Fresh waits until what is known is not older than it may be. It reports false
// where ctx ends first.
func (i *Interest) Fresh(ctx context.Context) bool {
	for {
		last := i.looked.Load()
		if time.Since(last.at) < staleAfter {
			return true
		}
		select {
		case <-last.next:
		case <-ctx.Done():
			return false
		}
	}
}

// Any reports whether somebody may want a kind of event of a type of job. It is
// asked before an event is decoded.
func (i *Interest) Any(event, jobType string) bool {
	kinds := i.known.Load().kinds
	return len(kinds) > 0 && (kinds[kind{event, ""}] || kinds[kind{event, jobType}])
}

// Of are the subscriptions that want an event of a job of an owner. Those made
// after it do not: it may be an old one that comes again.
func (i *Interest) Of(owner, event, jobType string, at time.Time) []hook.Subscription {
	known := i.known.Load()
	var out []hook.Subscription
	for _, subs := range [][]hook.Subscription{known.byOwner[owner], known.all} {
		for _, s := range subs {
			if s.Wants(event, jobType) && !at.Before(s.CreatedAt.Add(-slack)) {
				out = append(out, s)
			}
		}
	}
	return out
}

// Everybodys are the subscriptions that hear of the jobs of everybody.
func (i *Interest) Everybodys() []hook.Subscription { return i.known.Load().all }
