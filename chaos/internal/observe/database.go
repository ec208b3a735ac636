package observe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"nexus.internal/chaos/internal/history"
)

// askWithin bounds one look at the tables.
const askWithin = 10 * time.Second

// jobEventID matches the ids of the events of state changes and recoveries.
const jobEventID = `^[0-9a-f-]{36}/[0-9]+(/stale_lease_recovery)?$`

// Database looks at the tables of a Nexus, as the superuser of its server.
type Database struct{ pool *pgxpool.Pool }

// OpenDatabase opens a database; nothing is connected yet.
func OpenDatabase(ctx context.Context, url string) (*Database, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return &Database{pool}, nil
}

// Close closes the connections.
func (d *Database) Close() { d.pool.Close() }

// Left is what is still to be done.
type Left struct {
	// Unrecorded are promised jobs that are not recorded yet.
	Unrecorded, Unfinished, Unsent, Unaudited int
	// Events are all the job events that what happened so far must have caused.
	Events int
}

// Left counts what is still to be done when jobs were promised for some
// idempotency keys.
func (d *Database) Left(ctx context.Context, promised []string) (Left, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var l Left
	var audited int
	err := d.pool.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM jobs.jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')),
		(SELECT count(*) FROM jobs.outbox),
		(SELECT coalesce(sum(version), 0) FROM jobs.jobs) + (SELECT count(*) FROM jobs.job_attempts WHERE error_text = $1),
		(SELECT count(*) FROM audit.audit_logs WHERE event_id ~ $2),
		(SELECT count(*) FROM unnest($3::text[]) AS k WHERE k NOT IN (SELECT idempotency_key FROM jobs.job_inputs WHERE idempotency_key IS NOT NULL))`,
		history.LeaseExpired, jobEventID, promised,
	).Scan(&l.Unfinished, &l.Unsent, &l.Events, &audited, &l.Unrecorded)
	if err != nil {
		return l, fmt.Errorf("count what is left: %w", err)
	}
	l.Unaudited = max(0, l.Events-audited)
	return l, nil
}

// Held lists the jobs that a worker has a lease on.
func (d *Database) Held(ctx context.Context, worker string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	rows, err := d.pool.Query(ctx, `SELECT id::text FROM jobs.jobs WHERE status = 'running' AND lease_owner = $1 ORDER BY id`, worker)
	if err != nil {
		return nil, fmt.Errorf("list what %s holds: %w", worker, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list what %s holds: %w", worker, err)
	}
	return ids, nil
}

// Collect adds every job, attempt and audited job event to a history.
func (d *Database) Collect(ctx context.Context, file *history.File) error {
	return errors.Join(d.jobs(ctx, file), d.attempts(ctx, file), d.audit(ctx, file))
}

func (d *Database) jobs(ctx context.Context, file *history.File) error {
	var j history.Job
	return d.each(ctx, "jobs", func() {
		row := j
		file.Add(history.Record{Job: &row})
	}, `SELECT j.id::text, coalesce(i.idempotency_key, ''), j.job_type, j.status, j.version, j.attempt_count, j.max_attempts
		FROM jobs.jobs AS j LEFT JOIN jobs.job_inputs AS i ON i.job_id = j.id ORDER BY j.id`,
		&j.ID, &j.Key, &j.JobType, (*string)(&j.Status), &j.Version, &j.AttemptCount, &j.MaxAttempts)
}

func (d *Database) attempts(ctx context.Context, file *history.File) error {
	var a history.Attempt
	return d.each(ctx, "attempts", func() {
		row := a
		file.Add(history.Record{Attempt: &row})
	}, `SELECT job_id::text, version, attempt_number, status, worker, coalesce(error_text, '') FROM jobs.job_attempts ORDER BY job_id, version`,
		&a.JobID, &a.Version, &a.Number, &a.Status, &a.Worker, &a.ErrorText)
}

func (d *Database) audit(ctx context.Context, file *history.File) error {
	var id, requestID, details string
	var unreadable error
	err := d.each(ctx, "audit trail", func() {
		event, err := eventOf(id, requestID, []byte(details))
		if err != nil {
			unreadable = err
			return
		}
		file.Add(history.Record{Audit: &event})
	}, `SELECT event_id, request_id, details::text FROM audit.audit_logs WHERE event_id ~ '`+jobEventID+`' ORDER BY event_id`,
		&id, &requestID, &details)
	return errors.Join(err, unreadable)
}

// each scans every row of a query into dest and calls do after each.
func (d *Database) each(ctx context.Context, what string, do func(), query string, dest ...any) error {
	rows, err := d.pool.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read the %s: %w", what, err)
	}
	_, err = pgx.ForEachRow(rows, dest, func() error {
		do()
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the %s: %w", what, err)
	}
	return nil
}
