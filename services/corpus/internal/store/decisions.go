package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/corpus/internal/governance"
)

type decisionRow struct {
	bun.BaseModel `bun:"table:corpus.policy_decisions,alias:p"`

	ID         uuid.UUID       `bun:"id,pk"`
	AuditID    uuid.UUID       `bun:"audit_id"`
	Mode       string          `bun:"mode"`
	Allow      bool            `bun:"allow"`
	PolicyHits []string        `bun:"policy_hits,array"`
	Redactions []string        `bun:"redactions,array"`
	Trace      json.RawMessage `bun:"decision_trace,type:jsonb"`
	CreatedBy  string          `bun:"created_by"`
	CreatedAt  time.Time       `bun:"created_at"`
}

// Decisions keeps what the policy said.
type Decisions struct {
	*Store

	outbox *outbox.Outbox
}

// NewDecisions makes it; each decision is told through the outbox.
func NewDecisions(s *Store, box *outbox.Outbox) *Decisions { return &Decisions{s, box} }

// KeepDecision implements governance.Store.
func (s *Decisions) KeepDecision(ctx context.Context, d governance.Kept, event bus.Message) error {
	err := s.outbox.Change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		_, err := tx.Exec(ctx, `
			INSERT INTO corpus.policy_decisions (id, audit_id, mode, allow, policy_hits, redactions, decision_trace, created_by)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			d.ID, d.AuditID, d.Mode, d.Allow, d.PolicyHits, d.Redactions, []byte(d.Trace), d.CreatedBy)
		return event, err
	})
	if err != nil {
		return fmt.Errorf("keep decision %s: %w", d.ID, err)
	}
	return nil
}

// PolicyDecisions returns a page of decisions, newest first.
func (s *Store) PolicyDecisions(ctx context.Context, offset, limit int) ([]contract.PolicyDecision, error) {
	var rows []decisionRow
	err := s.db.Bun.NewSelect().Model(&rows).OrderExpr("p.created_at DESC, p.id DESC").Offset(int64(offset)).Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	out := make([]contract.PolicyDecision, len(rows))
	for i, r := range rows {
		out[i] = contract.PolicyDecision{
			ID: r.ID.String(), Mode: r.Mode, Allow: r.Allow, PolicyHits: r.PolicyHits, Redactions: r.Redactions, DecisionTrace: r.Trace,
			AuditID: r.AuditID.String(), CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt.UTC(),
		}
	}
	return out, nil
}
