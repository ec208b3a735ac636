package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
)

// Webhooks are the hooks of those jobs that are there and have one.
func (s *Store) Webhooks(ctx context.Context, ids []uuid.UUID) (map[string]contract.JobWebhook, error) {
	rows, err := s.db.Pool.Query(ctx, `SELECT job_id, webhook FROM jobs.job_inputs WHERE job_id = ANY($1) AND webhook IS NOT NULL`, ids)
	if err != nil {
		return nil, fmt.Errorf("look up webhooks: %w", err)
	}
	out := map[string]contract.JobWebhook{}
	var id uuid.UUID
	var text []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &text}, func() error {
		var hook contract.JobWebhook
		if err := json.Unmarshal(text, &hook); err != nil {
			return fmt.Errorf("decode the webhook of job %s: %w", id, err)
		}
		out[id.String()] = hook
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up webhooks: %w", err)
	}
	return out, nil
}
