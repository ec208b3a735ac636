package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
)

// PruneBatch is the most jobs one Prune deletes.
const PruneBatch = 500

// PlaceInTime is where a pass over the jobs, oldest first, has come.
type PlaceInTime struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

// Prune deletes jobs of a finished state that ended longer ago than age, with
// all that belongs to them, from a place on. It returns the place after the
// last and whether there may be more.
func (s *Store) Prune(ctx context.Context, status contract.Status, age time.Duration, from PlaceInTime) (n int, next PlaceInTime, more bool, err error) {
	if !status.Finished() {
		return 0, from, false, fmt.Errorf("jobs that are %s are not pruned", status)
	}
	err = pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		n, next, more = 0, from, false
		rows, err := tx.Query(ctx, `SELECT id, created_at, status = $1 AND finished_at < clock_timestamp() - make_interval(secs => $2)
			FROM jobs.jobs WHERE created_at < clock_timestamp() - make_interval(secs => $2) AND (created_at, id) > ($3, $4)
			ORDER BY created_at, id LIMIT $5 FOR UPDATE SKIP LOCKED`, string(status), age.Seconds(), from.CreatedAt, from.ID, PruneBatch)
		if err != nil {
			return err
		}
		var ids []uuid.UUID
		seen := 0
		var old bool
		if _, err := pgx.ForEachRow(rows, []any{&next.ID, &next.CreatedAt, &old}, func() error {
			if seen++; old {
				ids = append(ids, next.ID)
			}
			return nil
		}); err != nil {
			return err
		}
		more, n = seen == PruneBatch, len(ids)
		if n == 0 {
			return nil
		}
		for _, table := range []string{"output_parts", "job_artifacts", "job_attempts", "job_inputs"} {
			if _, err := tx.Exec(ctx, `DELETE FROM jobs.`+table+` WHERE job_id = ANY($1)`, ids); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM jobs.jobs WHERE id = ANY($1)`, ids)
		return err
	})
	if err != nil {
		return 0, from, false, fmt.Errorf("prune jobs that are %s: %w", status, err)
	}
	return n, next, more, nil
}
