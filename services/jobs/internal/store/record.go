package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
)

// NewJob is a job to be recorded.
type NewJob struct {
	ID   uuid.UUID
	Type contract.JobType
	contract.Submission
}

// requestHash tells whether two submissions under one idempotency key ask for
// the same. It is nil without a key.
func (n NewJob) requestHash() []byte {
	if n.IdempotencyKey == "" {
		return nil
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(n.JobType), []byte(n.ExecutionMode), []byte(strconv.Itoa(n.MaxAttempts)), n.Payload} {
		var size [8]byte
		h.Write(strconv.AppendInt(size[:0], int64(len(part)), 10))
		h.Write([]byte{0})
		h.Write(part)
	}
	return h.Sum(nil)
}

const insertJobs = `
	INSERT INTO jobs.jobs AS j (id, job_type, status, execution_mode, max_attempts, timeout_seconds, payload, idempotency_key, request_hash,
		created_by, request_id, trace_parent, next_run_at, dispatched_at, created_at, updated_at)
	SELECT n.id, n.job_type, $12, n.execution_mode, n.max_attempts, n.timeout_seconds, n.payload, n.idempotency_key, n.request_hash,
		n.created_by, n.request_id, n.trace_parent, t.now, t.now, t.now, t.now
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::int[], $6::text[], $7::text[], $8::bytea[], $9::text[], $10::text[], $11::text[])
		AS n (id, job_type, execution_mode, max_attempts, timeout_seconds, payload, idempotency_key, request_hash, created_by, request_id, trace_parent),
		(SELECT clock_timestamp() AS now) AS t
	ON CONFLICT (id) DO NOTHING
	RETURNING j.id`

// Record inserts jobs in one transaction and returns a verdict for each, in
// order. Jobs that were there already are compared: the same request gets the
// same job, another one a conflict.
func (s *Store) Record(ctx context.Context, jobs []NewJob) ([]contract.SubmitVerdict, outbox.Entry, error) {
	var verdicts []contract.SubmitVerdict
	entry, err := s.inTx(ctx, func(tx pgx.Tx) (outbox.Entry, error) {
		inserted, err := insert(ctx, tx, jobs)
		if err != nil {
			return outbox.Entry{}, err
		}
		fresh := make([]NewJob, 0, len(inserted))
		verdicts = make([]contract.SubmitVerdict, len(jobs))
		var repeated []int
		for i, n := range jobs {
			verdicts[i] = contract.SubmitVerdict{Ref: n.Ref, JobID: n.JobID, Status: contract.StatusQueued}
			if !inserted[n.ID] {
				repeated = append(repeated, i)
				continue
			}
			delete(inserted, n.ID)
			fresh = append(fresh, n)
		}
		if err := judgeRepeated(ctx, tx, jobs, repeated, verdicts); err != nil {
			return outbox.Entry{}, err
		}
		return s.announce(ctx, tx, fresh)
	})
	return verdicts, entry, err
}

func insert(ctx context.Context, tx pgx.Tx, jobs []NewJob) (map[uuid.UUID]bool, error) {
	n := len(jobs)
	ids, hashes := make([]uuid.UUID, n), make([][]byte, n)
	types, modes, payloads, owners := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	attempts, timeouts := make([]int32, n), make([]int32, n)
	keys, requests, traces := make([]*string, n), make([]*string, n), make([]*string, n)
	for i, j := range jobs {
		ids[i], types[i], modes[i], payloads[i], owners[i] = j.ID, j.JobType, string(j.ExecutionMode), string(j.Payload), j.CreatedBy
		attempts[i], timeouts[i] = int32(j.MaxAttempts), int32(j.Type.TimeoutSeconds)
		keys[i], hashes[i], requests[i], traces[i] = nullable(j.IdempotencyKey), j.requestHash(), nullable(j.RequestID), nullable(j.TraceParent)
	}
	rows, err := tx.Query(ctx, insertJobs, ids, types, modes, attempts, timeouts, payloads, keys, hashes, owners, requests, traces, string(contract.StatusQueued))
	if err != nil {
		return nil, fmt.Errorf("insert jobs: %w", err)
	}
	inserted, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("insert jobs: %w", err)
	}
	set := make(map[uuid.UUID]bool, len(inserted))
	for _, id := range inserted {
		set[id] = true
	}
	return set, nil
}

// judgeRepeated answers the submissions whose id was recorded before.
func judgeRepeated(ctx context.Context, tx pgx.Tx, jobs []NewJob, repeated []int, verdicts []contract.SubmitVerdict) error {
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
	rows, err := tx.Query(ctx, `SELECT id, status, request_hash FROM jobs.jobs WHERE id = ANY($1)`, ids)
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
		if !bytes.Equal(k.Hash, jobs[i].requestHash()) {
			verdicts[i].Code = contract.CodeConflict
			verdicts[i].Detail = "This idempotency key was used before for a different request."
		}
	}
	return nil
}

// announce writes the run messages and events of new jobs.
func (s *Store) announce(ctx context.Context, tx pgx.Tx, fresh []NewJob) (outbox.Entry, error) {
	dispatches := make([]Dispatch, len(fresh))
	jobs := make([]changed, len(fresh))
	for i, n := range fresh {
		dispatches[i] = Dispatch{JobID: n.ID, Type: n.Type, TraceParent: n.TraceParent}
		jobs[i] = changed{
			ID: n.ID, JobType: n.JobType, Status: string(contract.StatusQueued), Version: 1, MaxAttempts: n.MaxAttempts,
			CreatedBy: n.CreatedBy, RequestID: nullable(n.RequestID), TraceParent: nullable(n.TraceParent),
		}
	}
	messages, err := runMessages(dispatches, 0)
	if err != nil {
		return outbox.Entry{}, err
	}
	events, err := jobEvents(jobs, s.now().UTC())
	if err != nil {
		return outbox.Entry{}, err
	}
	return s.outbox.Append(ctx, tx, append(messages, events...))
}
