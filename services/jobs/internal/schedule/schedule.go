// Package schedule looks after the jobs nobody is working on: it dispatches
// those whose wait is over, recovers those whose worker went silent, and sends
// again those whose run message is gone. Several replicas may do it at once.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/services/jobs/internal/store"
)

// LostAfter is how long a run message may be on its way before its absence
// from the broker means that it is gone. It covers the relay's delay and the
// difference between the clocks of Postgres and the broker.
const LostAfter = 15 * time.Second

// lostEvery is how often lost messages are looked for.
const lostEvery = 5 * time.Second

// Types knows the job types.
type Types interface {
	All() map[string]contract.JobType
}

// Scheduler is a run.Component.
type Scheduler struct {
	store *store.Store
	js    jetstream.JetStream
	types Types
	poll  time.Duration
	lease time.Duration
	name  string
	log   zerolog.Logger
	wake  chan struct{}
}

// New makes a scheduler. name is the identity it recovers jobs under; poll is
// how often it looks at what no signal announces, lease how long a claim lasts
// without a heartbeat.
func New(st *store.Store, js jetstream.JetStream, types Types, poll, lease time.Duration, name string, log zerolog.Logger) *Scheduler {
	return &Scheduler{store: st, js: js, types: types, poll: poll, lease: lease, name: name, log: log, wake: make(chan struct{}, 1)}
}

// Wake says that a job was put back to wait: the next due time may be nearer.
func (s *Scheduler) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Name implements run.Component.
func (s *Scheduler) Name() string { return "scheduler" }

// Run implements run.Component.
func (s *Scheduler) Run(ctx context.Context, ready func()) error {
	ready()
	var lastLost time.Time
	ears := newEars(connection{s.js.Conn()}, s.lease, s.poll)
	for {
		err := s.DispatchDue(ctx)
		s.report("dispatch due jobs", err)
		if ears.heard(time.Now(), err) {
			s.report("recover expired leases", s.RecoverExpired(ctx))
		}
		if time.Since(lastLost) >= lostEvery {
			s.report("send lost runs again", s.DispatchLost(ctx, LostAfter))
			lastLost = time.Now()
		}
		timer := time.NewTimer(s.next(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.wake:
			timer.Stop()
		}
	}
}

func (s *Scheduler) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn().Err(err).Msg("could not " + what)
	}
}

// next is when to look again: at the next due time, or after the poll interval
// where that is sooner.
func (s *Scheduler) next(ctx context.Context) time.Duration {
	in, ok, err := s.store.Due(ctx)
	if err != nil || !ok {
		return s.poll
	}
	return max(time.Millisecond, min(in, s.poll))
}

// DispatchDue sends the jobs whose wait is over.
func (s *Scheduler) DispatchDue(ctx context.Context) error {
	return s.all(ctx, func() (bool, outbox.Entry, error) {
		n, entry, err := s.store.DispatchDue(ctx, s.types.All())
		return n == store.SweepBatch, entry, err
	})
}

// RecoverExpired ends the runs of workers that went silent.
func (s *Scheduler) RecoverExpired(ctx context.Context) error {
	return s.all(ctx, func() (bool, outbox.Entry, error) {
		_, more, entry, err := s.store.RecoverExpired(ctx, s.name, s.types.All())
		return more, entry, err
	})
}

// DispatchLost sends again the runs whose message is neither in the broker nor
// on its way there for at least after. Messages leave a queue in the order they
// came, so whatever is older than the oldest one still there is gone.
func (s *Scheduler) DispatchLost(ctx context.Context, after time.Duration) error {
	now, err := s.store.Now(ctx)
	if err != nil {
		return err
	}
	stream, err := s.js.Stream(ctx, contract.StreamRuns)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", contract.StreamRuns, err)
	}
	types := s.types.All()
	for _, queue := range queues(types) {
		for _, lane := range contract.Lanes() {
			before, err := s.oldest(ctx, stream, queue, lane.Priority, now)
			if err != nil {
				return err
			}
			if err := s.dispatchLost(ctx, types, queue, lane.Priority, before.Add(-after)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Scheduler) dispatchLost(ctx context.Context, types map[string]contract.JobType, queue, lane string, before time.Time) error {
	return s.all(ctx, func() (bool, outbox.Entry, error) {
		n, more, entry, err := s.store.DispatchLost(ctx, types, queue, lane, before)
		if n > 0 && err == nil {
			s.log.Warn().Int("jobs", n).Str("queue", queue).Str("lane", lane).Msg("sent runs again whose message was gone")
		}
		return more, entry, err
	})
}

func (s *Scheduler) oldest(ctx context.Context, stream jetstream.Stream, queue, lane string, now time.Time) (time.Time, error) {
	first, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(contract.RunFilter(queue, lane)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return now, nil
	}
	if err != nil {
		return now, fmt.Errorf("look at the oldest run of queue %s: %w", queue, err)
	}
	if first.Time.Before(now) {
		return first.Time, nil
	}
	return now, nil
}

func queues(types map[string]contract.JobType) []string {
	seen := map[string]bool{}
	var out []string
	for _, t := range types {
		if !seen[t.Queue] {
			seen[t.Queue] = true
			out = append(out, t.Queue)
		}
	}
	return out
}

// all repeats a sweep until it leaves nothing behind, and publishes what each
// caused.
func (s *Scheduler) all(ctx context.Context, sweep func() (more bool, entry outbox.Entry, err error)) error {
	for ctx.Err() == nil {
		more, entry, err := sweep()
		if err != nil {
			return err
		}
		if err := s.store.Publish(ctx, entry); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
	return ctx.Err()
}
