package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/payload"
	"nexus.internal/bench/internal/resource"
)

const (
	producers = 16
	// insertBatch is a batch of InsertManyFast by itself, flowBatch one while
	// jobs run.
	insertBatch, flowBatch = 500, 100
	workers, manyWorkers   = 100, 2000
	// outstanding is as in the measurement of nexus.
	outstanding = 5000
	// connections are enough for producers and River's own needs.
	connections = 40
	// poolSize is how many different payloads there are.
	poolSize = 1000
)

// noop is the job: the payload, and nothing to do.
type noop struct{ payload.Args }

// Kind implements river.JobArgs.
func (noop) Kind() string { return "noop" }

// worker tells begun, when it is set, that a job begins.
type worker struct {
	river.WorkerDefaults[noop]
	begun chan time.Time
}

// Work implements river.Worker.
func (w *worker) Work(context.Context, *river.Job[noop]) error {
	if w.begun != nil {
		w.begun <- time.Now()
	}
	return nil
}

// bench measures River on one database.
type bench struct {
	options
	sheet *figure.Sheet
	meter resource.Meter
	pool  *pgxpool.Pool
	jobs  []noop
	// inserter only inserts.
	inserter *river.Client[pgx.Tx]
	next     atomic.Int64
}

func open(ctx context.Context, o options, sheet *figure.Sheet) (*bench, error) {
	cfg, err := pgxpool.ParseConfig(o.database)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	cfg.MaxConns, cfg.MinConns = connections, producers
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	b := &bench{options: o, sheet: sheet, pool: pool, meter: resource.Meter{Servers: []int{o.postgresPID}, Trees: []bool{true}}}
	for _, args := range payload.Pool(poolSize) {
		b.jobs = append(b.jobs, noop{args})
	}
	if err := b.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(b.pool), nil)
	if err != nil {
		return fmt.Errorf("prepare the schema: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	if b.inserter, err = river.NewClient(riverpgxv5.New(b.pool), &river.Config{}); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return nil
}

func (b *bench) close() { b.pool.Close() }

// client makes a client that runs jobs. eager fetches as often as River's own
// benchmark does instead of ten times a second.
func (b *bench) client(w *worker, concurrency int, eager bool) (*river.Client[pgx.Tx], error) {
	all := river.NewWorkers()
	if err := river.AddWorkerSafely(all, w); err != nil {
		return nil, fmt.Errorf("add the worker: %w", err)
	}
	cfg := &river.Config{Workers: all, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrency}}}
	if eager {
		cfg.FetchCooldown, cfg.FetchPollInterval = 2*time.Millisecond, 20*time.Millisecond
	}
	client, err := river.NewClient(riverpgxv5.New(b.pool), cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return client, nil
}

// clear deletes the jobs and starts a checkpoint, so that each phase begins
// alike.
func (b *bench) clear(ctx context.Context) error {
	return b.exec(ctx, `TRUNCATE river_job`, `CHECKPOINT`)
}

func (b *bench) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := b.pool.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (b *bench) number(ctx context.Context, query string) (n int64, err error) {
	if err := b.pool.QueryRow(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("%s: %w", query, err)
	}
	return n, nil
}

func (b *bench) logPosition(ctx context.Context) (int64, error) {
	return b.number(ctx, `SELECT (pg_current_wal_lsn() - '0/0')::bigint`)
}

func (b *bench) completed(ctx context.Context) (int64, error) {
	return b.number(ctx, `SELECT count(*) FROM river_job WHERE state = 'completed'`)
}

// measured runs a phase and takes down its rate and what it cost.
func (b *bench) measured(name string, phase func() (pace.Result, error)) error {
	before := b.meter.Read()
	result, err := phase()
	used := b.meter.Read().Since(before)
	if err != nil {
		return fmt.Errorf("measure %s: %w", name, err)
	}
	b.sheet.PutRate(name, result, used)
	return nil
}

// insert inserts one job by itself, or several as one batch.
func (b *bench) insert(ctx context.Context, jobs int) error {
	first := int(b.next.Add(int64(jobs))) - jobs
	if jobs == 1 {
		if _, err := b.inserter.Insert(ctx, b.jobs[first%poolSize], nil); err != nil {
			return fmt.Errorf("insert a job: %w", err)
		}
		return nil
	}
	params := make([]river.InsertManyParams, jobs)
	for i := range params {
		params[i].Args = b.jobs[(first+i)%poolSize]
	}
	if _, err := b.inserter.InsertManyFast(ctx, params); err != nil {
		return fmt.Errorf("insert %d jobs: %w", jobs, err)
	}
	return nil
}
