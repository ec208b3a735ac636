package store

import (
	"context"
	"fmt"

	"nexus.internal/services/audit/internal/trail"
)

const keepDeadSQL = `INSERT INTO audit.dead_letters (received_at, stream, sequence, subject, origin, reason, headers, body, body_size)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT ON CONSTRAINT dead_letters_once DO NOTHING`

// KeepDead adds a dead letter unless it is kept already. The error wraps
// trail.ErrRefused when it can never be added.
func (s *Store) KeepDead(ctx context.Context, l trail.DeadLetter) error {
	_, err := s.db.Pool.Exec(ctx, keepDeadSQL,
		l.ReceivedAt, l.Stream, int64(l.Sequence), l.Subject, l.Origin, l.Reason, l.Headers, l.Body, l.BodySize)
	if err != nil {
		return fmt.Errorf("keep dead letter %d of %s: %w", l.Sequence, l.Stream, classify(err))
	}
	return nil
}
