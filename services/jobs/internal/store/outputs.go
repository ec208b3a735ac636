package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// Part is a part of an output of a run that has not been reported yet.
type Part struct {
	Lease
	Output, Part int
	Body         []byte
}

// PutPart keeps a part for the report that is to come. One that is there stays as it
// is. held is false where the lease is not current, room where the parts under it would
// be more than limit bytes; then nothing is kept.
func (s *Store) PutPart(ctx context.Context, p Part, limit int) (held, room bool, err error) {
	err = s.db.Pool.QueryRow(ctx, `
		WITH held AS (
			SELECT id FROM jobs.jobs WHERE id = $1 AND lease_token = $2 AND status = 'running'
		), others AS (
			SELECT coalesce(sum(octet_length(body)), 0) AS bytes FROM jobs.output_parts
			WHERE job_id = $1 AND lease_token = $2 AND (output, part) <> ($3::smallint, $4::int)
		), put AS (
			INSERT INTO jobs.output_parts (job_id, lease_token, output, part, body)
			SELECT held.id, $2, $3, $4, $5 FROM held, others WHERE others.bytes + octet_length($5::bytea) <= $6::int
			ON CONFLICT DO NOTHING
		)
		SELECT EXISTS (SELECT FROM held), others.bytes + octet_length($5::bytea) <= $6::int FROM others`,
		p.JobID, p.Token, p.Output, p.Part, p.Body, limit).Scan(&held, &room)
	if err != nil {
		return false, false, fmt.Errorf("put a part of an output of job %s: %w", p.JobID, err)
	}
	return held, room, nil
}

// keepParts makes what was put under a lease the job's.
const keepParts = `UPDATE jobs.output_parts SET kept = true WHERE job_id = $1 AND lease_token = $2`

// Staged puts an output together that was put under a lease. It returns nil where it
// is not there with all its size bytes.
func (s *Store) Staged(ctx context.Context, lease Lease, output, size int) ([]byte, error) {
	rows, err := s.db.Pool.Query(ctx, `SELECT part, body FROM jobs.output_parts
		WHERE job_id = $1 AND output = $2 AND lease_token = $3 AND part < $4 ORDER BY part`, lease.JobID, output, lease.Token, contract.OutputParts(size))
	if err != nil {
		return nil, fmt.Errorf("load an output of job %s: %w", lease.JobID, err)
	}
	whole, part := make([]byte, 0, size), 0
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&part, &body}, func() error {
		// Where a part begins follows from its number; readers rely on it.
		if len(whole) == part*contract.MaxOutputPart {
			whole = append(whole, body...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load an output of job %s: %w", lease.JobID, err)
	}
	if len(whole) != size {
		return nil, nil
	}
	return whole, nil
}

// DropStaged forgets the parts of runs that can no longer be reported: the lease they
// were put under is gone.
func (s *Store) DropStaged(ctx context.Context) error {
	_, err := s.db.Pool.Exec(ctx, `DELETE FROM jobs.output_parts AS p WHERE NOT p.kept
		AND NOT EXISTS (SELECT FROM jobs.jobs AS j WHERE j.id = p.job_id AND j.lease_token = p.lease_token)`)
	if err != nil {
		return fmt.Errorf("drop the outputs of runs that are over: %w", err)
	}
	return nil
}

// partOf is the part of a text, or of the output beside it, that begins at $2.
const partOf = `CASE WHEN p.body IS NULL THEN substring(convert_to(o.text, 'UTF8') FROM $2 + 1 FOR $3) ELSE substring(p.body FROM $2 % $3 + 1) END`

// Output is the part of an output that begins at offset, and the size of the whole,
// in bytes.
func (s *Store) Output(ctx context.Context, id uuid.UUID, output, offset int) (part []byte, size int, err error) {
	of := `SELECT result AS text, result_bytes AS bytes, 0 AS output FROM jobs.jobs WHERE id = $1`
	args := []any{id, offset, contract.MaxOutputPart}
	if output > 0 {
		of = `SELECT artifact_payload AS text, payload_bytes AS bytes, $4::int AS output FROM jobs.job_artifacts WHERE job_id = $1 ORDER BY id OFFSET $4::int - 1 LIMIT 1`
		args = append(args, output)
	}
	err = s.db.Pool.QueryRow(ctx, `SELECT coalesce(o.bytes, octet_length(o.text), 0), `+partOf+` FROM (`+of+`) AS o
		LEFT JOIN jobs.output_parts AS p ON o.bytes IS NOT NULL AND p.job_id = $1 AND p.output = o.output AND p.part = $2::int / $3::int AND p.kept`, args...).Scan(&size, &part)
	if errors.Is(err, pgx.ErrNoRows) && output == 0 {
		return nil, 0, fault.NotFoundf("Job not found")
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, fault.NotFoundf("Artifact not found")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("load an output of job %s: %w", id, err)
	}
	return part, size, nil
}

// What a job takes in a message besides its payload and its outputs, in bytes: most
// of it, and how much one byte of text may become.
const (
	roomOfJob, roomOfAttempt, roomOfArtifact = 4 << 10, 512, 256
	escaped                                  = 6
)

// leaveOut leaves out of a job what does not fit a message beside the rest.
func leaveOut(j *contract.Job) {
	room := contract.MaxMessage - roomOfJob - escaped*len(deref(j.ErrorText))
	for _, a := range j.Attempts {
		room -= roomOfAttempt + escaped*(len(a.Worker)+len(deref(a.ErrorText)))
	}
	for _, a := range j.Artifacts {
		room -= roomOfArtifact + escaped*(len(a.ArtifactType)+len(deref(a.ArtifactRef)))
	}
	fit := func(size int) bool {
		if size > room {
			return false
		}
		room -= size
		return true
	}
	if n := len(j.Payload); !fit(n) {
		j.Payload, j.PayloadBytes = nil, n
	}
	if n := len(j.Result); !fit(n) {
		j.Result, j.ResultBytes = nil, n
	}
	for i, a := range j.Artifacts {
		if n := len(a.ArtifactPayload); !fit(n) {
			j.Artifacts[i].ArtifactPayload, j.Artifacts[i].PayloadBytes = nil, n
		}
	}
}

// sizeOf is the size of an output that is kept in parts, NULL for others.
func sizeOf(bytes int) *int32 {
	if bytes == 0 {
		return nil
	}
	n := int32(bytes) //nolint:gosec // at most contract.MaxOutputBytes
	return &n
}
