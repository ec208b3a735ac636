package jobsdb

import (
	"context"
	"fmt"
)

// Jobs that are measured are of this year and later, those of Fill are older, and
// so are their ids, which begin with the time.
const (
	measured = `timestamptz '2026-01-01 00:00:00+00'`
	firstID  = `uuid '019b76da-a800-7000-8000-000000000000'`
)

// fillStep is how many jobs one statement adds.
const fillStep = 250_000

// fillSQL adds the finished jobs $1 to $2, one every six seconds of the past.
const fillSQL = `
	WITH n AS (
		SELECT timestamptz '2025-12-31 00:00:00+00' - make_interval(secs => 6 * i) AS at,
			encode(int8send((extract(epoch FROM timestamptz '2025-12-31 00:00:00+00') * 1000)::bigint - 6000 * i), 'hex') AS ms, i
		FROM generate_series($1::bigint, $2::bigint) AS i
	), j AS (
		SELECT (substr(ms, 5, 8) || '-' || substr(ms, 13, 4) || '-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid AS id, at FROM n
	), jobs AS (
		INSERT INTO jobs.jobs (id, created_at, max_attempts, timeout_seconds, version, attempt_count, status, started_at, updated_at, finished_at, job_type,
			execution_mode, created_by)
		SELECT id, at, 3, 30, 3, 1, 'succeeded', at, at, at, 'noop', 'async', 'bench' FROM j
	), inputs AS (
		INSERT INTO jobs.job_inputs (job_id, payload) SELECT id, '{"text":"' || repeat('x', 500) || '"}' FROM j
	)
	INSERT INTO jobs.job_attempts (job_id, version, attempt_number, status, worker, runtime_ms, started_at, finished_at)
	SELECT id, 3, 1, 'succeeded', 'bench', 0, at, at FROM j`

// Fill puts finished jobs into the tables, which then stay there, and lets the
// server look at them as it would by itself.
func (db *DB) Fill(ctx context.Context, jobs int) error {
	for first := 1; first <= jobs; first += fillStep {
		if _, err := db.Pool.Exec(ctx, fillSQL, first, min(jobs, first+fillStep-1)); err != nil {
			return fmt.Errorf("add finished jobs: %w", err)
		}
	}
	db.filled = true
	return db.run(ctx, `VACUUM ANALYZE jobs.jobs, jobs.job_inputs, jobs.job_attempts`, `CHECKPOINT`)
}

// LeastShare is the share of the measured jobs' attempts that the worker with the
// fewest ran, of so many workers.
func (db *DB) LeastShare(ctx context.Context, workers int) (float64, error) {
	return one[float64](ctx, db, "count the attempts of each worker", `SELECT CASE WHEN count(*) < $1 THEN 0 ELSE (min(n) / sum(n))::float8 END
		FROM (SELECT count(*) AS n FROM jobs.job_attempts WHERE job_id >= `+firstID+` GROUP BY worker) AS w`, workers)
}
