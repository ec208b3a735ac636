package jobsdb

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DB is the database of a private nexus, opened as its superuser.
type DB struct {
	Pool *pgxpool.Pool
	// filled says that there are jobs which are not measured.
	filled bool
}

// Open opens a database over at most connections connections, all of them
// opened before anything is timed.
func Open(ctx context.Context, url string, connections int) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	cfg.MaxConns, cfg.MinConns = int32(connections), int32(connections)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	return &DB{Pool: pool}, nil
}

// Close closes the connections.
func (db *DB) Close() { db.Pool.Close() }

// Version is the server's version.
func (db *DB) Version(ctx context.Context) (string, error) {
	return one[string](ctx, db, "read the version of Postgres", `SHOW server_version`)
}

// LogPosition is how many bytes the write-ahead log has taken so far.
func (db *DB) LogPosition(ctx context.Context) (int64, error) {
	return one[int64](ctx, db, "read the position of the log", `SELECT (pg_current_wal_lsn() - '0/0')::bigint`)
}

// Create creates another database unless it exists.
func (db *DB) Create(ctx context.Context, name string) error {
	exists, err := one[bool](ctx, db, "look for a database", `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name)
	if err != nil || exists {
		return err
	}
	return db.run(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// Clear forgets every job but those of Fill, and makes a checkpoint so that the
// next phase finds the server at rest. The audit trail stays: it can only grow.
func (db *DB) Clear(ctx context.Context) error {
	if db.filled {
		return db.run(ctx, `DELETE FROM jobs.jobs WHERE created_at >= `+measured, `DELETE FROM jobs.job_inputs WHERE job_id >= `+firstID,
			`DELETE FROM jobs.job_attempts WHERE job_id >= `+firstID, `TRUNCATE jobs.dispatches, jobs.claims, jobs.outbox`,
			`VACUUM jobs.jobs, jobs.job_inputs, jobs.job_attempts`, `CHECKPOINT`)
	}
	return db.run(ctx, `TRUNCATE jobs.jobs, jobs.job_inputs, jobs.job_attempts, jobs.job_artifacts, jobs.dispatches, jobs.claims, jobs.outbox`, `CHECKPOINT`)
}

// Settle does what a server at rest does by itself, after many inserts.
func (db *DB) Settle(ctx context.Context) error {
	return db.run(ctx, `VACUUM ANALYZE jobs.jobs`, `CHECKPOINT`)
}

func (db *DB) run(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := db.Pool.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// Tally is what became of the jobs.
type Tally struct {
	Jobs, Succeeded, Attempts int64
}

// Tally counts the jobs.
func (db *DB) Tally(ctx context.Context) (Tally, error) {
	var t Tally
	err := db.Pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE status = 'succeeded'),
		(SELECT count(*) FROM jobs.job_attempts WHERE job_id >= `+firstID+`) FROM jobs.jobs WHERE created_at >= `+measured).Scan(&t.Jobs, &t.Succeeded, &t.Attempts)
	if err != nil {
		return t, fmt.Errorf("count the jobs: %w", err)
	}
	return t, nil
}

// Succeeded counts the finished jobs.
func (db *DB) Succeeded(ctx context.Context) (int64, error) {
	return one[int64](ctx, db, "count the finished jobs", `SELECT count(*) FROM jobs.jobs WHERE status = 'succeeded' AND created_at >= `+measured)
}

// Unpublished counts the outbox rows whose messages may not be in the broker.
func (db *DB) Unpublished(ctx context.Context) (int64, error) {
	return one[int64](ctx, db, "count the outbox", `SELECT count(*) FROM jobs.outbox`)
}

// Lost is how many jobs did not come to their end: recorded ones that did not
// succeed, and confirmed ones that are not recorded.
func (t Tally) Lost(confirmed int64) int64 { return t.Jobs - t.Succeeded + max(0, confirmed-t.Jobs) }

// Twice is how many attempts there were beyond one for each job that succeeded.
func (t Tally) Twice() int64 { return max(0, t.Attempts-t.Succeeded) }

func one[T any](ctx context.Context, db *DB, what, query string, args ...any) (T, error) {
	var v T
	if err := db.Pool.QueryRow(ctx, query, args...).Scan(&v); err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}
