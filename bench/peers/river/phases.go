package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
)

const (
	drainWithin = 3 * time.Minute
	// stopWithin bounds the end of a client.
	stopWithin = 30 * time.Second
	// warmUp lets a client that has started come to rest.
	warmUp    = 500 * time.Millisecond
	readEvery = 500 * time.Microsecond
	// countEvery is how often finished jobs are counted once most ought to be.
	countEvery = 20 * time.Millisecond
	// eventRoom is how many events may wait to be read.
	eventRoom = 200_000
)

// inserting measures inserts while no job runs.
func (b *bench) inserting(ctx context.Context) error {
	for _, p := range []struct {
		name string
		jobs int
	}{{figure.RiverInsert, 1}, {figure.RiverInsertBatch, insertBatch}} {
		if err := b.clear(ctx); err != nil {
			return err
		}
		err := b.measured(p.name, func() (pace.Result, error) {
			return pace.Timed(ctx, producers, b.phase, func(ctx context.Context, _, _ int) (int, error) { return p.jobs, b.insert(ctx, p.jobs) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// draining measures how fast jobs are ended that were all there before the
// workers began.
func (b *bench) draining(ctx context.Context) error {
	for _, p := range []struct {
		name        string
		concurrency int
	}{{figure.RiverDrain100, workers}, {figure.RiverDrain2000, manyWorkers}} {
		if err := b.clear(ctx); err != nil {
			return err
		}
		log, err := b.logPosition(ctx)
		if err != nil {
			return err
		}
		if err := b.drain(ctx, p.name, p.concurrency); err != nil {
			return err
		}
		if p.concurrency != workers {
			continue
		}
		now, err := b.logPosition(ctx)
		if err != nil {
			return err
		}
		b.sheet.Put(figure.RiverWAL, float64(now-log)/float64(b.total))
	}
	return nil
}

func (b *bench) drain(ctx context.Context, name string, concurrency int) error {
	total := b.total
	batches := (total + insertBatch - 1) / insertBatch
	err := pace.Each(ctx, producers, batches, func(ctx context.Context, i int) error {
		return b.insert(ctx, min(insertBatch, total-i*insertBatch))
	})
	if err != nil {
		return err
	}
	if err := b.exec(ctx, `VACUUM ANALYZE river_job`, `CHECKPOINT`); err != nil {
		return err
	}
	client, err := b.client(&worker{}, concurrency, true)
	if err != nil {
		return err
	}
	return b.measured(name, func() (pace.Result, error) {
		done, unsubscribe := subscribe(client, func() {})
		defer unsubscribe()
		start := time.Now()
		if err := client.Start(ctx); err != nil {
			return pace.Result{}, fmt.Errorf("start the workers: %w", err)
		}
		err := pace.Until(ctx, "every job is finished", countEvery, drainWithin, func(ctx context.Context) (bool, error) {
			if done.Load() < int64(total) {
				return false, nil
			}
			n, err := b.completed(ctx)
			return n >= int64(total), err
		})
		result := pace.Result{N: int64(total), Took: time.Since(start)}
		return result, errors.Join(err, stop(ctx, client))
	})
}

// subscribe counts the jobs that are completed, and calls each for every one.
func subscribe(client *river.Client[pgx.Tx], each func()) (done *atomic.Int64, unsubscribe func()) {
	events, cancel := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: eventRoom, Kinds: []river.EventKind{river.EventKindJobCompleted}})
	done = new(atomic.Int64)
	go func() {
		for range events {
			done.Add(1)
			each()
		}
	}()
	return done, cancel
}

func stop(ctx context.Context, client *river.Client[pgx.Tx]) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := client.Stop(ctx); err != nil {
		return fmt.Errorf("stop the workers: %w", err)
	}
	return nil
}

// together measures jobs that come in and are run at once.
func (b *bench) together(ctx context.Context) error {
	return errors.Join(b.flow(ctx, figure.RiverTogether, 1), b.flow(ctx, figure.RiverTogetherBatch, flowBatch))
}

func (b *bench) flow(ctx context.Context, name string, batch int) (err error) {
	if err := b.clear(ctx); err != nil {
		return err
	}
	client, err := b.client(&worker{}, workers, true)
	if err != nil {
		return err
	}
	gate := pace.NewGate(outstanding)
	done, unsubscribe := subscribe(client, func() { gate.Leave(1) })
	defer unsubscribe()
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	defer func() { err = errors.Join(err, stop(ctx, client)) }()
	if err := pace.Pause(ctx, warmUp); err != nil {
		return err
	}
	window, closeWindow := context.WithCancel(ctx)
	defer closeWindow()
	var working sync.WaitGroup
	defer working.Wait()
	failed := make(chan error, producers)
	for range producers {
		working.Go(func() {
			for gate.Enter(window, batch) {
				if err := b.insert(ctx, batch); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	return b.measured(name, func() (pace.Result, error) {
		defer closeWindow()
		start := time.Now()
		timer := time.NewTimer(b.flowing)
		defer timer.Stop()
		select {
		case <-timer.C:
		case err := <-failed:
			return pace.Result{}, err
		case <-ctx.Done():
			return pace.Result{}, context.Cause(ctx)
		}
		return pace.Result{N: done.Load(), Took: time.Since(start)}, nil
	})
}

// idle measures how long a job takes when nothing else is going on, with River's
// own settings.
func (b *bench) idle(ctx context.Context) (err error) {
	if err := b.clear(ctx); err != nil {
		return err
	}
	w := &worker{begun: make(chan time.Time, 1)}
	client, err := b.client(w, workers, false)
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	defer func() { err = errors.Join(err, stop(ctx, client)) }()
	if err := pace.Pause(ctx, 2*warmUp); err != nil {
		return err
	}
	var answered, begun, done pace.Latencies
	for i := range b.idleJobs {
		gap := 3*time.Millisecond + rand.N(12*time.Millisecond)
		if err := pace.Pause(ctx, gap); err != nil {
			return err
		}
		start := time.Now()
		inserted, err := client.Insert(ctx, b.jobs[i%poolSize], nil)
		if err != nil {
			return fmt.Errorf("insert a job: %w", err)
		}
		answered.Add(time.Since(start))
		select {
		case at := <-w.begun:
			begun.Add(at.Sub(start))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := awaitCompleted(ctx, client, inserted.Job.ID); err != nil {
			return err
		}
		done.Add(time.Since(start))
	}
	b.sheet.PutLatencies(figure.RiverIdleAnswered, &answered)
	b.sheet.PutLatencies(figure.RiverIdleBegun, &begun)
	b.sheet.PutLatencies(figure.RiverIdleDone, &done)
	return nil
}

func awaitCompleted(ctx context.Context, client *river.Client[pgx.Tx], id int64) error {
	return pace.Until(ctx, "a job is completed", readEvery, stopWithin, func(ctx context.Context) (bool, error) {
		job, err := client.JobGet(ctx, id)
		if err != nil {
			return false, fmt.Errorf("read a job: %w", err)
		}
		return job.State == rivertype.JobStateCompleted, nil
	})
}
