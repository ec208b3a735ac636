package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/job"
)

// Requeue gives a failed or cancelled job all its attempts again.
func (s *Store) Requeue(ctx context.Context, id uuid.UUID, actor string, types map[string]contract.JobType) (outbox.Entry, error) {
	entry, err := s.change(ctx, func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error) {
		locked, err := lock(ctx, tx, []uuid.UUID{id})
		if err != nil {
			return outbox.Entry{}, err
		}
		c, ok := locked[id]
		if !ok {
			return outbox.Entry{}, fault.NotFoundf("Job not found")
		}
		if _, err := job.Apply(contract.Status(c.Status), job.Requeue); err != nil {
			return outbox.Entry{}, fault.Conflictf("The job is %s; only failed and cancelled jobs can be tried again", c.Status)
		}
		after, err := apply(ctx, tx, []change{{job: c, event: job.Requeue, actor: actor}})
		if err != nil {
			return outbox.Entry{}, err
		}
		note(after...)
		return s.tell(ctx, tx, after, types)
	})
	if err != nil {
		return outbox.Entry{}, fmt.Errorf("try job %s again: %w", id, err)
	}
	return entry, nil
}

// RequeueMany gives the jobs that match all their attempts again, the oldest
// first, so that req.PerSecond of them are due in a second.
func (s *Store) RequeueMany(ctx context.Context, req contract.RetryJobsRequest, types map[string]contract.JobType) (contract.RetryJobsReply, outbox.Entry, error) {
	var f filter
	f.add("setback = $?", req.Status)
	for _, c := range []struct{ condition, value string }{
		{"job_type = $?", req.JobType}, {"created_by = $?", req.CreatedBy}, {"tags @> ARRAY[$?::text]", req.Tag},
	} {
		if c.value != "" {
			f.add(c.condition, c.value)
		}
	}
	if req.CreatedAfter != nil {
		f.add("created_at > $?", *req.CreatedAfter)
	}
	if req.CreatedBefore != nil {
		f.add("created_at < $?", *req.CreatedBefore)
	}
	var reply contract.RetryJobsReply
	entry, err := s.change(ctx, func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error) {
		reply = contract.RetryJobsReply{JobIDs: []string{}}
		rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT `+currentColumns+` FROM jobs.jobs%s ORDER BY created_at, id LIMIT %d FOR UPDATE SKIP LOCKED`, f.where(), req.Limit), f.args...)
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("find jobs to try again: %w", err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[current])
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("find jobs to try again: %w", err)
		}
		if len(found) == 0 {
			return outbox.Entry{}, nil
		}
		changes := make([]change, len(found))
		for i, c := range found {
			changes[i] = change{job: c, event: job.Requeue, actor: req.Actor, delay: time.Duration(i/req.PerSecond) * time.Second}
			reply.JobIDs = append(reply.JobIDs, c.ID.String())
		}
		reply.More = len(found) == req.Limit
		after, err := apply(ctx, tx, changes)
		if err != nil {
			return outbox.Entry{}, err
		}
		for _, c := range after {
			if reply.LastRunAt == nil || c.NextRunAt.After(*reply.LastRunAt) {
				reply.LastRunAt = c.NextRunAt
			}
		}
		note(after...)
		return s.tell(ctx, tx, after, types)
	})
	if err != nil {
		return contract.RetryJobsReply{}, outbox.Entry{}, fmt.Errorf("try jobs again: %w", err)
	}
	return reply, entry, nil
}
