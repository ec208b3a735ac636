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
	"nexus.internal/libs/contract"
)

const (
	// drainWithin bounds a drain.
	drainWithin = 3 * time.Minute
	// countEvery is how often Postgres is asked how many jobs are finished once
	// a reader has seen as many; it costs a look at every job.
	countEvery = 5 * time.Millisecond
	// patientEvery is how often it is asked before: events can be lost.
	patientEvery = time.Second
)

// drain measures how fast jobs are ended that were all there before the workers
// began, and what they cost in the log of Postgres from submit to audit.
func (n *Nexus) drain(ctx context.Context) error {
	log, err := n.drainAs(ctx, figure.Drain)
	if err != nil {
		return err
	}
	if err := errors.Join(n.afterDrain(ctx, log), n.tally(ctx, int64(n.opts.Jobs))); err != nil {
		return err
	}
	return n.drainWide(ctx)
}

// drainWide is the drain with 2,000 workers: those of the server and 1,900 more.
func (n *Nexus) drainWide(ctx context.Context) (err error) {
	stop, err := n.server.Join(ctx, "jobs", 1, "NEXUS_BENCH_WORKERS=1900")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if _, err := n.drainAs(ctx, figure.Drain2000); err != nil {
		return err
	}
	return errors.Join(n.published(ctx), n.audited(ctx), n.tally(ctx, int64(n.opts.Jobs)))
}

// drainAs measures a drain under a name, and returns where the log of Postgres
// was before its first job.
func (n *Nexus) drainAs(ctx context.Context, name string) (log int64, err error) {
	if err := n.pauseWorkers(ctx); err != nil {
		return 0, err
	}
	if err := n.clear(ctx); err != nil {
		return 0, err
	}
	if log, err = n.db.LogPosition(ctx); err != nil {
		return 0, err
	}
	if err := n.enqueue(ctx); err != nil {
		return 0, err
	}
	return log, n.measured(name, func() (pace.Result, error) { return n.runAll(ctx) })
}

// enqueue submits the jobs of the drain, all but the last, and lets everything
// behind that end.
func (n *Nexus) enqueue(ctx context.Context) error {
	total := n.opts.Jobs - 1
	commands := (total + contract.MaxSubmissions - 1) / contract.MaxSubmissions
	err := pace.Each(ctx, producers, commands, func(ctx context.Context, i int) error {
		_, err := n.command(ctx, min(contract.MaxSubmissions, total-i*contract.MaxSubmissions), i)
		return err
	})
	if err != nil {
		return fmt.Errorf("enqueue %d jobs: %w", total, err)
	}
	if err := errors.Join(n.published(ctx), n.audited(ctx)); err != nil {
		return err
	}
	return n.db.Settle(ctx)
}

// runAll lets the workers go and waits until Postgres has every job finished.
// The last job is submitted only now: a consumer that is resumed looks at what
// it has missed when the next message comes, or seconds later by itself.
func (n *Nexus) runAll(ctx context.Context) (result pace.Result, err error) {
	want := int64(n.opts.Jobs)
	var seen atomic.Int64
	all := make(chan struct{}, 1)
	stop, err := events.Count(n.nc, contract.StatusSucceeded, func(jobs int) {
		if seen.Add(int64(jobs)) >= want {
			select {
			case all <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		return pace.Result{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	start := time.Now()
	if err := n.resumeWorkers(ctx); err != nil {
		return pace.Result{}, err
	}
	if _, err := n.command(ctx, 1, 0); err != nil {
		return pace.Result{}, fmt.Errorf("submit the last job: %w", err)
	}
	err = pace.Until(ctx, "every job is finished", 0, drainWithin, func(ctx context.Context) (bool, error) {
		wait := patientEvery
		if seen.Load() >= want {
			wait = countEvery
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-all:
		case <-timer.C:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		finished, err := n.db.Succeeded(ctx)
		return finished >= want, err
	})
	return pace.Result{N: want, Took: time.Since(start)}, err
}

// afterDrain waits for what follows the last job, and takes down how long that
// was and how much log the jobs cost.
func (n *Nexus) afterDrain(ctx context.Context, log int64) error {
	finished := time.Now()
	if err := errors.Join(n.published(ctx), n.audited(ctx)); err != nil {
		return err
	}
	n.sheet.Put(figure.AuditBehind, time.Since(finished).Seconds())
	now, err := n.db.LogPosition(ctx)
	if err != nil {
		return err
	}
	n.sheet.Put(figure.WAL, float64(now-log)/float64(n.opts.Jobs))
	return nil
}

// tally takes down what became of the jobs.
func (n *Nexus) tally(ctx context.Context, confirmed int64) error {
	t, err := n.db.Tally(ctx)
	if err != nil {
		return err
	}
	n.sheet.Put(figure.Lost, float64(t.Lost(confirmed)))
	n.sheet.Put(figure.Twice, float64(t.Twice()))
	return nil
}
