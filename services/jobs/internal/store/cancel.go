package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/job"
)

// Cancel ends a job that has not finished. It reports whether the job was
// running, and whether anything changed; a finished job stays as it is.
func (s *Store) Cancel(ctx context.Context, id uuid.UUID, actor string) (wasRunning, cancelled bool, entry outbox.Entry, err error) {
	entry, err = s.change(ctx, func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error) {
		wasRunning, cancelled = false, false
		locked, err := lock(ctx, tx, []uuid.UUID{id})
		if err != nil {
			return outbox.Entry{}, err
		}
		c, ok := locked[id]
		if !ok {
			return outbox.Entry{}, fault.NotFoundf("Job not found")
		}
		if contract.Status(c.Status).Finished() {
			return outbox.Entry{}, nil
		}
		after, err := apply(ctx, tx, []change{{job: c, event: job.Cancel, actor: actor, worker: deref(c.LeaseOwner)}})
		if err != nil {
			return outbox.Entry{}, err
		}
		wasRunning, cancelled = c.Status == string(contract.StatusRunning), true
		note(after...)
		events, err := jobEvents(after, s.now().UTC())
		if err != nil {
			return outbox.Entry{}, err
		}
		return s.outbox.Append(ctx, tx.AtCommit(), events)
	})
	if err != nil {
		return false, false, outbox.Entry{}, fmt.Errorf("cancel job %s: %w", id, err)
	}
	return wasRunning, cancelled, entry, nil
}
