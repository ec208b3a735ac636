package suite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"nexus.internal/bench/internal/events"
	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/rest"
	"nexus.internal/libs/contract"
)

// idle measures how long a job takes when nothing else is going on: once as a
// reader of events sees it, once as one does that asks again and again, which
// keeps the system busy.
func (n *Nexus) idle(ctx context.Context) error {
	if err := n.clear(ctx); err != nil {
		return err
	}
	if err := n.idleEvents(ctx); err != nil {
		return err
	}
	return n.idleRead(ctx)
}

// life is what is known of one job of an idle system.
type life struct {
	answered, begun, started, done pace.Latencies
}

func (n *Nexus) idleEvents(ctx context.Context) (err error) {
	changes := make(chan events.Change, 100)
	var dropped atomic.Int64
	stop, err := events.Follow(n.nc, changes, &dropped)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	client := rest.New(n.addr, n.key, 1)
	defer client.Close()
	var l life
	for i := range n.opts.IdleJobs {
		if err := pace.Pause(ctx, idleGap()); err != nil {
			return err
		}
		if err := n.idleJob(ctx, client, n.bodies[i%len(n.bodies)], changes, &l); err != nil {
			return fmt.Errorf("idle job %d: %w", i, err)
		}
	}
	if lost := dropped.Load(); lost > 0 {
		return fmt.Errorf("%d events of an idle system could not be read", lost)
	}
	n.sheet.PutLatencies(figure.IdleAnswered, &l.answered)
	n.sheet.PutLatencies(figure.IdleBegun, &l.begun)
	n.sheet.PutLatencies(figure.IdleStartedEvent, &l.started)
	n.sheet.PutLatencies(figure.IdleDoneEvent, &l.done)
	return nil
}

// idleJob follows one job from its submit to its end.
func (n *Nexus) idleJob(ctx context.Context, client *rest.Client, body []byte, changes <-chan events.Change, l *life) error {
	start := time.Now()
	out, err := client.Submit(body)
	if err != nil {
		return err
	}
	l.answered.Add(time.Since(start))
	if err := followJob(ctx, out.JobID, start, changes, l); err != nil {
		return err
	}
	// The event must not say more than every read says.
	job, err := client.Job(out.JobID)
	if err != nil {
		return err
	}
	if job.Status != contract.StatusSucceeded || len(job.Attempts) != 1 {
		return fmt.Errorf("job %s was announced as done, and is %s after %d attempts", out.JobID, job.Status, len(job.Attempts))
	}
	l.begun.Add(job.Attempts[0].StartedAt.Sub(start))
	return nil
}

// followJob waits for the events of one job. Those of its start and end are not
// sure to come in order.
func followJob(ctx context.Context, id string, start time.Time, changes <-chan events.Change, l *life) error {
	timer := time.NewTimer(idleWithin)
	defer timer.Stop()
	for waiting := map[contract.Status]*pace.Latencies{contract.StatusRunning: &l.started, contract.StatusSucceeded: &l.done}; len(waiting) > 0; {
		select {
		case c := <-changes:
			if latencies := waiting[c.Status]; latencies != nil && c.JobID == id {
				latencies.Add(c.Seen.Sub(start))
				delete(waiting, c.Status)
			}
		case <-timer.C:
			return fmt.Errorf("no event for its end within %s", idleWithin)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
