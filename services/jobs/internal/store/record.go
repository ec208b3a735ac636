package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
)

// NewJob is a job to be recorded.
type NewJob struct {
	ID   uuid.UUID
	Type contract.JobType
	contract.Submission
}

// requestHash tells whether two submissions under one idempotency key ask for
// the same. It is nil without a key. The gateway knows best what its client
// sent; a submission without its hash is compared by what was made of it.
func (n NewJob) requestHash() []byte {
	if n.IdempotencyKey == "" {
		return nil
	}
	if sum, err := hex.DecodeString(n.RequestHash); err == nil && len(sum) == sha256.Size {
		return sum
	}
	parts := [][]byte{[]byte(n.JobType), []byte(n.ExecutionMode), []byte(strconv.Itoa(n.MaxAttempts)), n.Payload}
	if n.Webhook != nil {
		parts = append(parts, []byte(n.Webhook.URL), []byte(strings.Join(slices.Sorted(slices.Values(n.Webhook.Events)), " ")))
	}
	h := sha256.New()
	for _, part := range parts {
		var size [8]byte
		h.Write(strconv.AppendInt(size[:0], int64(len(part)), 10))
		h.Write([]byte{0})
		h.Write(part)
	}
	return h.Sum(nil)
}

func (n NewJob) timeout() int {
	if n.TimeoutSeconds > 0 {
		return n.TimeoutSeconds
	}
	return n.Type.TimeoutSeconds
}

func (n NewJob) lane() string {
	if n.Priority == "" {
		return contract.PriorityNormal
	}
	return n.Priority
}

const insertJobs = `
	WITH new AS (
		INSERT INTO jobs.jobs AS j (id, job_type, status, execution_mode, priority, max_attempts, timeout_seconds, created_by, request_id, trace_parent, tags, hooked,
			next_run_at, dispatched_at, created_at, updated_at)
		SELECT n.id, n.job_type, $1, n.execution_mode, n.priority, n.max_attempts, n.timeout_seconds, n.created_by, n.request_id, n.trace_parent,
			CASE WHEN n.tags <> '' THEN string_to_array(n.tags, ' ') END, n.hooked,
			greatest(t.now, n.run_at, t.now + make_interval(secs => n.delay)),
			CASE WHEN n.delay = 0 AND (n.run_at IS NULL OR n.run_at <= t.now) THEN t.now END, t.now, t.now
		FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::float8[], $16::boolean[])
			AS n (id, job_type, execution_mode, priority, max_attempts, timeout_seconds, created_by, request_id, trace_parent, tags, run_at, delay, hooked),
			(SELECT clock_timestamp() AS now) AS t
		ON CONFLICT (id) DO NOTHING
		RETURNING j.id, j.job_type, j.priority, j.next_run_at, j.dispatched_at
	), sent AS (
		INSERT INTO jobs.dispatches (queue, priority, dispatched_at, job_ids)
		SELECT q.queue, new.priority, min(new.dispatched_at), array_agg(new.id)
		FROM new JOIN unnest($14::text[], $15::text[]) AS q (job_type, queue) USING (job_type)
		WHERE new.dispatched_at IS NOT NULL GROUP BY q.queue, new.priority
	)
	SELECT id, CASE WHEN dispatched_at IS NULL THEN next_run_at END FROM new`

const insertInputs = `
	INSERT INTO jobs.job_inputs (job_id, payload, idempotency_key, request_hash, webhook)
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[])
	ON CONFLICT (job_id) DO NOTHING`

// errRefused takes back the transaction of jobs that are recorded all or not
// at all.
var errRefused = errors.New("one of the jobs was refused")

// Record inserts jobs in one transaction and returns a verdict for each, in
// order. Jobs that were there already are compared: the same request gets the
// same job, another one a conflict. Where atomic is set a conflict keeps all of
// them from being recorded.
func (s *Store) Record(ctx context.Context, jobs []NewJob, atomic bool) ([]contract.SubmitVerdict, outbox.Entry, error) {
	var verdicts []contract.SubmitVerdict
	start := time.Now()
	entry, err := s.change(ctx, func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error) {
		inserted, err := insert(ctx, tx, jobs)
		if err != nil {
			return outbox.Entry{}, err
		}
		fresh := make([]freshJob, 0, len(inserted))
		verdicts = make([]contract.SubmitVerdict, len(jobs))
		var repeated []int
		for i, n := range jobs {
			verdicts[i] = contract.SubmitVerdict{Ref: n.Ref, JobID: n.JobID, Status: contract.StatusQueued}
			at, ok := inserted[n.ID]
			if !ok {
				repeated = append(repeated, i)
				continue
			}
			delete(inserted, n.ID)
			fresh = append(fresh, freshJob{n, at})
		}
		if err := judgeRepeated(ctx, tx, jobs, repeated, verdicts); err != nil {
			return outbox.Entry{}, err
		}
		if atomic && anyRefused(verdicts) {
			return outbox.Entry{}, errRefused
		}
		return s.announce(ctx, tx, fresh, note)
	})
	if errors.Is(err, errRefused) {
		for i := range verdicts {
			if verdicts[i].Code == "" {
				verdicts[i].Status, verdicts[i].Code, verdicts[i].Detail = "", contract.CodeNotRecorded, "Another job of the batch was refused."
			}
		}
		return verdicts, outbox.Entry{}, nil
	}
	if err == nil {
		s.measures.batch(opRecord, len(jobs), start)
	}
	return verdicts, entry, err
}

func anyRefused(verdicts []contract.SubmitVerdict) bool {
	for _, v := range verdicts {
		if v.Code != "" {
			return true
		}
	}
	return false
}

// insert writes jobs and returns those that are new, with the time each waits
// for, if it does. Of jobs with one id the first counts.
func insert(ctx context.Context, tx *pg.Tx, all []NewJob) (map[uuid.UUID]*time.Time, error) {
	jobs := make([]NewJob, 0, len(all))
	seen := make(map[uuid.UUID]bool, len(all))
	for _, j := range all {
		if !seen[j.ID] {
			seen[j.ID] = true
			jobs = append(jobs, j)
		}
	}
	n := len(jobs)
	ids, hashes := make([]uuid.UUID, n), make([][]byte, n)
	types, modes, lanes, payloads, owners, tags := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	attempts, timeouts := make([]int32, n), make([]int32, n)
	keys, requests, traces := make([]*string, n), make([]*string, n), make([]*string, n)
	times, delays := make([]*time.Time, n), make([]float64, n)
	hooks, hooked := make([]*string, n), make([]*bool, n)
	queues := map[string]string{}
	for i, j := range jobs {
		var err error
		if hooks[i], err = j.hook(); err != nil {
			return nil, err
		}
		hooked[i] = present(hooks[i] != nil)
		ids[i], types[i], modes[i], lanes[i], payloads[i], owners[i] = j.ID, j.JobType, string(j.ExecutionMode), j.lane(), string(j.Payload), j.CreatedBy
		attempts[i], timeouts[i], tags[i] = int32(j.MaxAttempts), int32(j.timeout()), strings.Join(j.Tags, " ")
		keys[i], hashes[i], requests[i], traces[i] = nullable(j.IdempotencyKey), j.requestHash(), nullable(j.RequestID), nullable(j.TraceParent)
		times[i], delays[i] = j.RunAt, j.DelaySeconds
		queues[j.JobType] = j.Type.Queue
	}
	var names, queueNames []string
	for name, queue := range queues {
		names, queueNames = append(names, name), append(queueNames, queue)
	}
	inserted := make(map[uuid.UUID]*time.Time, n)
	batch := &pgx.Batch{}
	batch.Queue(insertJobs, string(contract.StatusQueued), ids, types, modes, lanes, attempts, timeouts, owners, requests, traces, tags, times, delays, names, queueNames, hooked).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var id uuid.UUID
				var at *time.Time
				if err := rows.Scan(&id, &at); err != nil {
					return err
				}
				inserted[id] = at
			}
			return rows.Err()
		})
	batch.Queue(insertInputs, ids, payloads, keys, hashes, hooks)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("insert jobs: %w", err)
	}
	return inserted, nil
}

// hook is the webhook as it is kept; nil for none.
func (n NewJob) hook() (*string, error) {
	if n.Webhook == nil {
		return nil, nil //nolint:nilnil // most jobs have none
	}
	text, err := json.Marshal(n.Webhook)
	if err != nil {
		return nil, fmt.Errorf("encode the webhook of job %s: %w", n.JobID, err)
	}
	return nullable(string(text)), nil
}

// judgeRepeated answers the submissions whose id was recorded before.
func judgeRepeated(ctx context.Context, tx *pg.Tx, jobs []NewJob, repeated []int, verdicts []contract.SubmitVerdict) error {
	if len(repeated) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(repeated))
	for k, i := range repeated {
		ids[k] = jobs[i].ID
	}
	type known struct {
		ID     uuid.UUID
		Status string
		Hash   []byte
	}
	rows, err := tx.Query(ctx, `SELECT j.id, j.status, i.request_hash FROM jobs.jobs AS j JOIN jobs.job_inputs AS i ON i.job_id = j.id WHERE j.id = ANY($1)`, ids)
	if err != nil {
		return fmt.Errorf("look up repeated jobs: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[known])
	if err != nil {
		return fmt.Errorf("look up repeated jobs: %w", err)
	}
	byID := make(map[uuid.UUID]known, len(found))
	for _, k := range found {
		byID[k.ID] = k
	}
	for _, i := range repeated {
		k := byID[jobs[i].ID]
		verdicts[i].Existing = true
		verdicts[i].Status = contract.Status(k.Status)
		if string(k.Hash) != string(jobs[i].requestHash()) {
			verdicts[i].Code = contract.CodeConflict
			verdicts[i].Detail = "This idempotency key was used before for a different request."
		}
	}
	return nil
}

// freshJob is a job that was just recorded.
type freshJob struct {
	NewJob
	// waitsFor is nil where its run message goes out at once.
	waitsFor *time.Time
}

// announce writes the run messages and events of new jobs.
func (s *Store) announce(ctx context.Context, tx *pg.Tx, fresh []freshJob, note func(...changed)) (outbox.Entry, error) {
	var ready []Dispatch
	jobs := make([]changed, len(fresh))
	for i, n := range fresh {
		if n.waitsFor == nil {
			ready = append(ready, Dispatch{JobID: n.ID, Type: n.Type, Priority: n.lane(), TraceParent: n.TraceParent})
		}
		jobs[i] = changed{
			ID: n.ID, JobType: n.JobType, Status: string(contract.StatusQueued), Version: 1, MaxAttempts: n.MaxAttempts,
			CreatedBy: n.CreatedBy, RequestID: nullable(n.RequestID), TraceParent: nullable(n.TraceParent), NextRunAt: n.waitsFor,
			Hooked: present(n.Webhook != nil),
		}
	}
	note(jobs...)
	messages, err := runMessages(ready, 0)
	if err != nil {
		return outbox.Entry{}, err
	}
	events, err := jobEvents(jobs, s.now().UTC())
	if err != nil {
		return outbox.Entry{}, err
	}
	return s.outbox.Append(ctx, tx.AtCommit(), append(messages, events...))
}
