package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/job"
)

// Lease names a job and the lease somebody has, or wants, on it.
type Lease struct {
	JobID  uuid.UUID
	Token  uuid.UUID
	Worker string
}

// leaseColumns splits leases into the arrays of a statement, in the order of
// the jobs' ids: statements that lock rows in one order do not deadlock.
func leaseColumns(leases []Lease) (ids, tokens []uuid.UUID, workers []string) {
	leases = slices.SortedFunc(slices.Values(leases), func(a, b Lease) int { return bytes.Compare(a.JobID[:], b.JobID[:]) })
	ids, tokens, workers = make([]uuid.UUID, len(leases)), make([]uuid.UUID, len(leases)), make([]string, len(leases))
	for i, l := range leases {
		ids[i], tokens[i], workers[i] = l.JobID, l.Token, l.Worker
	}
	return ids, tokens, workers
}

// Granted is a successful claim.
type Granted struct {
	contract.Grant
	JobID uuid.UUID
}

// inPausedQueue matches the jobs of queues whose jobs may not start.
const inPausedQueue = `j.job_type = ANY(ARRAY(SELECT t.name FROM jobs.job_types AS t JOIN jobs.queues AS q ON q.name = t.queue WHERE q.paused))`

// A statement for many jobs joins them as = ANY (ARRAY[key]) and not as = key.
// That can only be done by looking each key up. An equality it may turn round where
// it takes the table for empty, and read the whole index to look each row up among
// the keys; and such a plan stays when the table has grown.
const claimJobs = `
	WITH granted AS (
		UPDATE jobs.jobs AS j SET
			status = $4, version = j.version + 1, attempt_count = j.attempt_count + 1, next_run_at = NULL, dispatched_at = NULL,
			lease_owner = c.worker, lease_token = c.token, lease_expires_at = t.now + make_interval(secs => $5), started_at = t.now, updated_at = t.now,
			progress = NULL, progress_text = NULL
		FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS c (id, token, worker), (SELECT clock_timestamp() AS now) AS t
		WHERE j.id = ANY(ARRAY[c.id]) AND j.status = ANY($6) AND j.next_run_at <= t.now AND NOT (` + inPausedQueue + `)
		RETURNING ` + changedColumns + `, j.lease_token, j.lease_owner, j.timeout_seconds, j.execution_mode, j.lease_expires_at, j.created_at, j.started_at
	), watched AS (
		INSERT INTO jobs.claims (look_at, job_ids) SELECT min(lease_expires_at), array_agg(id) FROM granted HAVING count(*) > 0
	)
	SELECT ` + grantedColumns + ` FROM granted AS j JOIN jobs.job_inputs AS i ON i.job_id = ANY(ARRAY[j.id])`

// grantedColumns are the columns scanned by scanGrants, in order. A payload too
// large for a reply stays where it is.
const grantedColumns = changedColumns + `, j.lease_token, j.lease_owner, j.timeout_seconds, j.execution_mode, octet_length(i.payload),
	CASE WHEN octet_length(i.payload) <= 262144 THEN i.payload END, extract(epoch FROM j.started_at - j.created_at)::float8`

// Claim gives each lease its job where the job is ready, and returns the
// grants. A job that is already leased under the very token that asks is
// granted again: its first answer was lost.
func (s *Store) Claim(ctx context.Context, leases []Lease, lease time.Duration) ([]Granted, outbox.Entry, error) {
	t, err := job.Of(job.Claim)
	if err != nil {
		return nil, outbox.Entry{}, err
	}
	ids, tokens, workers := leaseColumns(leases)
	var granted []Granted
	start := time.Now()
	entry, err := s.change(ctx, func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error) {
		granted = granted[:0]
		rows, err := tx.Query(ctx, claimJobs, ids, tokens, workers, string(t.To), lease.Seconds(), sources(t))
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("claim jobs: %w", err)
		}
		jobs, grants, err := scanGrants(rows)
		if err != nil {
			return outbox.Entry{}, err
		}
		granted = grants
		if len(granted) < len(leases) {
			if err := park(ctx, tx, ids); err != nil {
				return outbox.Entry{}, err
			}
			again, err := grantedBefore(ctx, tx, ids, tokens)
			if err != nil {
				return outbox.Entry{}, err
			}
			granted = withRepeats(granted, again)
		}
		note(jobs...)
		events, err := jobEvents(jobs, s.now().UTC())
		if err != nil {
			return outbox.Entry{}, err
		}
		return s.outbox.Append(ctx, tx.AtCommit(), events)
	})
	if err == nil {
		s.measures.batch(opClaim, len(leases), start)
	}
	return granted, entry, err
}

func scanGrants(rows pgx.Rows) (jobs []changed, grants []Granted, err error) {
	defer rows.Close()
	for rows.Next() {
		var (
			token   uuid.UUID
			worker  string
			payload []byte
			timeout int
			mode    string
			size    int
			waited  float64
		)
		c, err := scanChanged(rows, &token, &worker, &timeout, &mode, &size, &payload, &waited)
		if err != nil {
			return nil, nil, err
		}
		c.Event, c.Worker, c.Actor = job.Claim, worker, worker
		c.waited = waited
		if payload != nil {
			size = 0
		}
		jobs = append(jobs, c)
		grants = append(grants, Granted{JobID: c.ID, Grant: contract.Grant{
			JobID: c.ID.String(), JobType: c.JobType, LeaseToken: token.String(), Attempt: c.Attempt, MaxAttempts: c.MaxAttempts,
			TimeoutSeconds: timeout, ExecutionMode: contract.ExecutionMode(mode), CreatedBy: c.CreatedBy, RequestID: deref(c.RequestID), TraceParent: deref(c.TraceParent), Repeated: c.Version > firstRun, Payload: payload,
			PayloadBytes: size,
		}})
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("claim jobs: %w", err)
	}
	return jobs, grants, nil
}

// firstRun is the version that a job has while it is run for the first time: it was
// recorded, and claimed.
const firstRun = 2

// grantedBefore finds the jobs that are leased under the tokens that ask.
func grantedBefore(ctx context.Context, tx *pg.Tx, ids, tokens []uuid.UUID) ([]Granted, error) {
	rows, err := tx.Query(ctx, `SELECT `+grantedColumns+`
		FROM unnest($1::uuid[], $2::uuid[]) AS c (id, token) JOIN jobs.jobs AS j ON j.id = ANY(ARRAY[c.id]) AND j.lease_token = c.token
		JOIN jobs.job_inputs AS i ON i.job_id = ANY(ARRAY[j.id])`, ids, tokens)
	if err != nil {
		return nil, fmt.Errorf("look up earlier claims: %w", err)
	}
	_, grants, err := scanGrants(rows)
	return grants, err
}

// park keeps jobs of paused queues in Postgres: their run messages are used up.
func park(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) error {
	_, err := tx.Exec(ctx, `UPDATE jobs.jobs AS j SET dispatched_at = NULL
		WHERE j.id = ANY($1) AND j.status IN ('queued', 'retry_wait') AND j.dispatched_at IS NOT NULL AND `+inPausedQueue, ids)
	if err != nil {
		return fmt.Errorf("park jobs of paused queues: %w", err)
	}
	return nil
}

// withRepeats adds the grants of again that are not in granted.
func withRepeats(granted, again []Granted) []Granted {
	have := make(map[uuid.UUID]bool, len(granted))
	for _, g := range granted {
		have[g.JobID] = true
	}
	for _, g := range again {
		if !have[g.JobID] {
			granted = append(granted, g)
		}
	}
	return granted
}

// Renew extends leases and returns the tokens of those that are gone.
func (s *Store) Renew(ctx context.Context, leases []Lease, lease time.Duration) (lost []uuid.UUID, err error) {
	if len(leases) == 0 {
		return nil, nil
	}
	ids, tokens, _ := leaseColumns(leases)
	var renewed []uuid.UUID
	err = pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE jobs.jobs AS j SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
			FROM unnest($1::uuid[], $2::uuid[]) AS c (id, token)
			WHERE j.id = ANY(ARRAY[c.id]) AND j.lease_token = c.token
			RETURNING j.lease_token`, ids, tokens, lease.Seconds())
		if err != nil {
			return fmt.Errorf("renew leases: %w", err)
		}
		if renewed, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
			return fmt.Errorf("renew leases: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	kept := make(map[uuid.UUID]bool, len(renewed))
	for _, token := range renewed {
		kept[token] = true
	}
	for _, token := range tokens {
		if !kept[token] {
			lost = append(lost, token)
		}
	}
	return lost, nil
}
