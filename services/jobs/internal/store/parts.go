package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
)

// StagePart keeps a part of a command. It returns the whole command when no
// part is missing, and nil otherwise. Parts may come twice and in any order, to
// any replica.
func (s *Store) StagePart(ctx context.Context, part contract.SubmitPart) (whole []byte, err error) {
	err = pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		whole = nil
		// Of two that bring the last parts, the second must see the first.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, part.CommandID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO jobs.command_parts (command_id, part, parts, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			part.CommandID, part.Part, part.Parts, part.Body); err != nil {
			return err
		}
		var there int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM jobs.command_parts WHERE command_id = $1`, part.CommandID).Scan(&there); err != nil || there < part.Parts {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT body FROM jobs.command_parts WHERE command_id = $1 ORDER BY part`, part.CommandID)
		if err != nil {
			return err
		}
		bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			return err
		}
		whole = bytes.Join(bodies, nil)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("keep part %d of command %s: %w", part.Part, part.CommandID, err)
	}
	return whole, nil
}

// DropParts forgets the parts of a command.
func (s *Store) DropParts(ctx context.Context, commandID string) error {
	if _, err := s.db.Pool.Exec(ctx, `DELETE FROM jobs.command_parts WHERE command_id = $1`, commandID); err != nil {
		return fmt.Errorf("drop the parts of command %s: %w", commandID, err)
	}
	return nil
}

// PruneParts forgets parts whose command was not whole after a time.
func (s *Store) PruneParts(ctx context.Context, after time.Duration) error {
	if _, err := s.db.Pool.Exec(ctx, `DELETE FROM jobs.command_parts WHERE created_at < clock_timestamp() - make_interval(secs => $1)`, after.Seconds()); err != nil {
		return fmt.Errorf("drop the parts of commands that never were whole: %w", err)
	}
	return nil
}
