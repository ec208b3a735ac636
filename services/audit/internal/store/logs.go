package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/services/audit/internal/trail"
)

// One statement for any number of entries: its text never changes, so the
// server plans it once, and a commit costs the same for one row as for many.
const appendSQL = `INSERT INTO audit.audit_logs (event_id, action, actor, source, request_id, trace_id, occurred_at, details)
SELECT event_id, action, actor, source, request_id, trace_id, occurred_at, details::json
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[], $8::text[])
	AS e (event_id, action, actor, source, request_id, trace_id, occurred_at, details)
ON CONFLICT (event_id) DO NOTHING`

// Append adds entries, all or none; those whose event is in the trail already
// stay as they are. The error wraps trail.ErrRefused when an entry can never
// be added.
func (s *Store) Append(ctx context.Context, entries []trail.Entry) error {
	n := len(entries)
	ids, actions, actors := make([]string, n), make([]string, n), make([]string, n)
	sources, requests, details := make([]string, n), make([]string, n), make([]string, n)
	traces, times := make([][]byte, n), make([]time.Time, n)
	for i, e := range entries {
		ids[i], actions[i], actors[i] = e.EventID, e.Action, e.Actor
		sources[i], requests[i], details[i] = e.Source, e.RequestID, string(e.Details)
		traces[i], times[i] = e.TraceID, e.OccurredAt
	}
	if _, err := s.db.Pool.Exec(ctx, appendSQL, ids, actions, actors, sources, requests, traces, times, details); err != nil {
		return fmt.Errorf("append %d audit entries: %w", n, classify(err))
	}
	return nil
}

// List finds the newest entries. After is inclusive, Before is not. Details of
// more than maxDetails bytes are replaced by their size.
func (s *Store) List(ctx context.Context, q contract.AuditQuery, maxDetails int) ([]contract.AuditEntry, error) {
	var rows []logRow
	sel := s.db.Bun.NewSelect().Model(&rows).
		Column("id", "event_id", "action", "actor", "request_id", "occurred_at").
		ColumnExpr(`CASE WHEN octet_length(l.details::text) <= ? THEN l.details
			ELSE json_build_object('omitted_bytes', octet_length(l.details::text)) END AS details`, maxDetails).
		OrderExpr("l.occurred_at DESC, l.id DESC").Limit(int64(q.Limit)).Offset(int64(q.Offset))
	if err := filter(sel, q).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list audit entries: %w", err)
	}
	out := make([]contract.AuditEntry, 0, len(rows))
	for _, r := range rows {
		out = append(out, contract.AuditEntry{
			ID: r.ID, EventID: r.EventID, Action: r.Action, Actor: r.Actor, RequestID: r.RequestID,
			Details: r.Details, OccurredAt: r.OccurredAt.UTC(),
		})
	}
	return out, nil
}

func filter(sel *bun.SelectQuery, q contract.AuditQuery) *bun.SelectQuery {
	if q.Action != "" {
		sel = sel.Where("l.action = ?", q.Action)
	}
	if q.Actor != "" {
		sel = sel.Where("l.actor = ?", q.Actor)
	}
	if q.After != nil {
		sel = sel.Where("l.occurred_at >= ?", *q.After)
	}
	if q.Before != nil {
		sel = sel.Where("l.occurred_at < ?", *q.Before)
	}
	return sel
}
