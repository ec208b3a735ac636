package manyjobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"nexus.internal/bench/internal/jobsdb"
	"nexus.internal/bench/internal/pace"
)

const (
	// batch is how many jobs are written in one transaction.
	batch = 50_000
	// writers is how many transactions are at work; more than the cores of a
	// small machine only wait for each other.
	writers = 2
	// Span is the time over which the jobs were made.
	Span = 100 * 24 * time.Hour
	// unfinished is how many of the newest jobs are still at work, where there
	// are enough.
	unfinished = 3000
)

// Fill writes n jobs into a private server, and lets it vacuum and analyze them
// as it would in time by itself.
func Fill(ctx context.Context, db *jobsdb.DB, n int, now time.Time) error {
	// Nothing is looked up while it is written.
	if err := setAutovacuum(ctx, db, "off"); err != nil {
		return err
	}
	build, err := dropIndexes(ctx, db)
	if err != nil {
		return err
	}
	if err := Write(ctx, db, n, now); err != nil {
		return err
	}
	if err := settle(ctx, db, build); err != nil {
		return err
	}
	return setAutovacuum(ctx, db, "on")
}

// There is how many jobs there are, and when the newest was made.
func There(ctx context.Context, db *jobsdb.DB) (n int, newest time.Time, err error) {
	if err := db.Pool.QueryRow(ctx, `SELECT count(*), coalesce(max(created_at), clock_timestamp()) FROM jobs.jobs`).Scan(&n, &newest); err != nil {
		return 0, newest, fmt.Errorf("count the jobs: %w", err)
	}
	return n, newest, nil
}

// dropIndexes drops the indexes that lists use and returns the statements that
// build them as they were: to sort once is faster than to insert.
func dropIndexes(ctx context.Context, db *jobsdb.DB) (build []string, err error) {
	// The scheduler looks into jobs_due all the time.
	rows, err := db.Pool.Query(ctx, `SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
		WHERE indrelid = 'jobs.jobs'::regclass AND NOT indisprimary AND indexrelid <> 'jobs.jobs_due'::regclass ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("find the indexes: %w", err)
	}
	var drop []string
	var name, definition string
	if _, err := pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		drop, build = append(drop, `DROP INDEX `+name), append(build, definition)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("find the indexes: %w", err)
	}
	for _, s := range drop {
		if _, err := db.Pool.Exec(ctx, s); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return build, nil
}

// settle builds the indexes, and does what a server at rest does by itself.
func settle(ctx context.Context, db *jobsdb.DB, build []string) error {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	defer conn.Release()
	statements := append([]string{`SET maintenance_work_mem = '512MB'`}, build...)
	statements = append(statements, `VACUUM (ANALYZE) jobs.jobs`, `VACUUM (ANALYZE) jobs.job_inputs`, `ANALYZE jobs.dispatches, jobs.claims`, `CHECKPOINT`)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// Write writes n jobs, the newest of which were made just before now.
func Write(ctx context.Context, db *jobsdb.DB, n int, now time.Time) error {
	err := pace.Each(ctx, writers, (n+batch-1)/batch, func(ctx context.Context, i int) error {
		return write(ctx, db, n, i*batch+1, min((i+1)*batch, n), now)
	})
	if err != nil {
		return err
	}
	return group(ctx, db)
}

func setAutovacuum(ctx context.Context, db *jobsdb.DB, to string) error {
	for _, s := range []string{`ALTER SYSTEM SET autovacuum = ` + to, `SELECT pg_reload_conf()`} {
		if _, err := db.Pool.Exec(ctx, s); err != nil {
			return fmt.Errorf("turn autovacuum %s: %w", to, err)
		}
	}
	return nil
}

// write writes the jobs with the numbers from and to, and those between, of n.
func write(ctx context.Context, db *jobsdb.DB, n, from, to int, now time.Time) error {
	err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		// A crash ends the run anyway.
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = off`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insert, from, to, now, (Span / time.Duration(n)).Seconds(), n, min(unfinished, n/100))
		return err
	})
	if err != nil {
		return fmt.Errorf("write the jobs %d to %d: %w", from, to, err)
	}
	return nil
}

// insert makes jobs by their numbers. Each property is drawn by a hash of its
// own, from 0 to 999,999. Jobs that are not finished wait for tomorrow, so that
// nobody runs or recovers them meanwhile.
const insert = `
	WITH drawn AS MATERIALIZED (
		SELECT i, $3::timestamptz - make_interval(secs => ($5::int - i + 1) * $4::float8) AS at, i > $5::int - $6::int AS open,
			abs(hashint8extended(i, 1) % 1000000) AS a, abs(hashint8extended(i, 2) % 1000000) AS b, abs(hashint8extended(i, 3) % 1000000) AS c,
			abs(hashint8extended(i, 4) % 1000000) AS d, abs(hashint8extended(i, 5) % 1000000) AS e
		FROM generate_series($1::bigint, $2::bigint) AS i
	), made AS MATERIALIZED (
		SELECT i, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid AS id,
			CASE WHEN open THEN (ARRAY['queued', 'queued', 'queued', 'running', 'running', 'retry_wait'])[1 + i % 6]
				WHEN a < 20000 THEN 'failed' WHEN a < 30000 THEN 'cancelled' ELSE 'succeeded' END AS status,
			-- A client that only imports, a few jobs of a rare owner and a rare type.
			CASE WHEN b < 4 THEN 'rare' WHEN b < 40000 THEN 'importer' ELSE 'owner-' || floor(40 * (c / 1e6) ^ 3) END AS created_by,
			CASE WHEN b BETWEEN 4 AND 39999 THEN 'ingest_batch' WHEN d < 10 THEN 'integrity_audit' WHEN d < 90000 THEN 'ingest_batch' WHEN d < 290000 THEN 'analyze' ELSE 'noop' END AS job_type,
			CASE WHEN e < 5000 THEN 'high' WHEN e < 55000 THEN 'low' ELSE 'normal' END AS priority,
			-- Many have a tag, some two, and one was given up long ago.
			array_remove(ARRAY[CASE WHEN a % 10 < 2 THEN 'team:' || b % 20 END, CASE WHEN c % 100 = 7 THEN 'nightly' END,
				CASE WHEN d % 10 = 3 THEN 'run:' || i / 500 END, CASE WHEN i < $5::int / 5 AND e % 100 = 5 THEN 'given-up' END], NULL) AS tags
		FROM drawn
	), jobs AS (
		INSERT INTO jobs.jobs (id, created_at, max_attempts, timeout_seconds, version, attempt_count, status, next_run_at, dispatched_at,
			lease_owner, lease_token, lease_expires_at, started_at, updated_at, finished_at, result, error_text, job_type, execution_mode, priority, created_by, request_id, tags)
		SELECT id, at, 3, 30, 3, CASE status WHEN 'queued' THEN 0 ELSE 1 END, status,
			CASE WHEN status IN ('queued', 'retry_wait') THEN $3 + interval '1 day' END, CASE WHEN status = 'queued' AND i % 2 = 0 THEN $3 + interval '1 day' END,
			CASE status WHEN 'running' THEN 'bench' END, CASE status WHEN 'running' THEN gen_random_uuid() END, CASE status WHEN 'running' THEN $3 + interval '1 day' END,
			CASE WHEN status NOT IN ('queued', 'retry_wait') THEN at + interval '50 milliseconds' END, at + interval '80 milliseconds',
			CASE WHEN status IN ('succeeded', 'failed', 'cancelled') THEN at + interval '80 milliseconds' END,
			CASE status WHEN 'succeeded' THEN '{"ok":true}' END, CASE status WHEN 'failed' THEN 'no such document' END,
			job_type, 'async', priority, created_by, md5(id::text), CASE WHEN cardinality(tags) > 0 THEN tags END
		FROM made
	)
	INSERT INTO jobs.job_inputs (job_id, payload) SELECT id, '{"document_id":"' || md5(i::text) || '","layers":["rhetoric"]}' FROM made`

// group notes the jobs that were sent and claimed, 50 in a transaction.
func group(ctx context.Context, db *jobsdb.DB) error {
	const open = `(SELECT id, status, dispatched_at, lease_expires_at, priority, row_number() OVER (ORDER BY id) / 50 AS n FROM jobs.jobs
		WHERE finished_at IS NULL AND created_at >= (SELECT min(created_at) FROM (SELECT created_at FROM jobs.jobs ORDER BY created_at DESC LIMIT $1) AS newest)) AS open`
	for _, s := range []string{
		`INSERT INTO jobs.dispatches (queue, priority, dispatched_at, job_ids)
			SELECT 'bench', priority, min(dispatched_at), array_agg(id) FROM ` + open + ` WHERE dispatched_at IS NOT NULL GROUP BY priority, n`,
		`INSERT INTO jobs.claims (look_at, job_ids) SELECT min(lease_expires_at), array_agg(id) FROM ` + open + ` WHERE status = 'running' GROUP BY n`,
	} {
		if _, err := db.Pool.Exec(ctx, s, unfinished); err != nil {
			return fmt.Errorf("note the jobs at work: %w", err)
		}
	}
	return nil
}
