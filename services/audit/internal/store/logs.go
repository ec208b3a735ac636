package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/services/audit/internal/trail"
)

// columns are the columns of an entry, in the order they are copied.
func columns() []string {
	return []string{"event_id", "action", "actor", "source", "request_id", "trace_id", "occurred_at", "details", "segment", "position"}
}

// insertNewSQL adds entries and passes over those that are there.
const insertNewSQL = `INSERT INTO audit.audit_logs (event_id, action, actor, source, request_id, trace_id, occurred_at, details, segment, position)
SELECT event_id, action, actor, source, request_id, trace_id, occurred_at, details::json, $9, position
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[], $8::text[])
	WITH ORDINALITY AS e (event_id, action, actor, source, request_id, trace_id, occurred_at, details, position)
ON CONFLICT (event_id) DO NOTHING
RETURNING position`

// chainLock is the advisory lock under which one transaction at a time adds a
// segment. It is held until the commit, so nobody sees a number twice.
const chainLock = 0x6e78617564697400 // "nxaudit"

const headSQL = `SELECT number, hash, transaction_timestamp() FROM audit.segments ORDER BY number DESC LIMIT 1`

const addSegmentSQL = `INSERT INTO audit.segments (number, recorded_at, entries, previous, hash) VALUES ($1, $2, $3, $4, $5)`

// Append adds entries as one segment, all or none; those whose event is in the
// trail already stay as they are. The error wraps trail.ErrRefused when an entry
// can never be added.
//
// Events rarely come twice, so they are copied, at half the cost of an INSERT
// that looks whether they are there; when one is, everything is done again with
// such an INSERT.
func (s *Store) Append(ctx context.Context, entries []trail.Entry) error {
	err := s.addSegment(ctx, entries, copyAll)
	if pg.IsUniqueViolation(err) {
		err = s.addSegment(ctx, entries, insertNew)
	}
	if err != nil {
		return fmt.Errorf("append %d audit entries: %w", len(entries), classify(err))
	}
	return nil
}

// adder adds entries to a segment and returns the positions of those it added,
// in order. Positions begin at one.
type adder func(ctx context.Context, tx *pg.Tx, entries []trail.Entry, segment int64) ([]int, error)

func (s *Store) addSegment(ctx context.Context, entries []trail.Entry, add adder) error {
	return pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		head, err := next(ctx, tx)
		if err != nil {
			return err
		}
		added, err := add(ctx, tx, entries, head.Number)
		if err != nil || len(added) == 0 {
			return err
		}
		for _, position := range added {
			head.Add(position, entries[position-1])
		}
		hash := head.Hash()
		_, err = tx.AtCommit().Exec(ctx, addSegmentSQL, head.Number, head.Recorded, head.Entries(), head.Previous[:], hash[:])
		return err
	})
}

// next begins the segment that follows the newest one.
func next(ctx context.Context, tx *pg.Tx) (*trail.Segment, error) {
	var (
		number   int64
		hash     []byte
		recorded time.Time
	)
	batch := &pgx.Batch{}
	batch.Queue(`SELECT pg_advisory_xact_lock($1)`, int64(chainLock))
	batch.Queue(headSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&number, &hash, &recorded) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("find the newest segment: %w", err)
	}
	return trail.NewSegment(number+1, recorded, trail.Hash(hash)), nil
}

func copyAll(ctx context.Context, tx *pg.Tx, entries []trail.Entry, segment int64) ([]int, error) {
	added := make([]int, len(entries))
	rows := pgx.CopyFromSlice(len(entries), func(i int) ([]any, error) {
		added[i] = i + 1
		e := entries[i]
		return []any{e.EventID, e.Action, e.Actor, e.Source, e.RequestID, e.TraceID, e.OccurredAt, string(e.Details), segment, i + 1}, nil
	})
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"audit", "audit_logs"}, columns(), rows)
	return added, err
}

func insertNew(ctx context.Context, tx *pg.Tx, entries []trail.Entry, segment int64) ([]int, error) {
	n := len(entries)
	ids, actions, actors := make([]string, n), make([]string, n), make([]string, n)
	sources, requests, details := make([]string, n), make([]string, n), make([]string, n)
	traces, times := make([][]byte, n), make([]time.Time, n)
	for i, e := range entries {
		ids[i], actions[i], actors[i] = e.EventID, e.Action, e.Actor
		sources[i], requests[i], details[i] = e.Source, e.RequestID, string(e.Details)
		traces[i], times[i] = e.TraceID, e.OccurredAt
	}
	rows, err := tx.Query(ctx, insertNewSQL, ids, actions, actors, sources, requests, traces, times, details, segment)
	if err != nil {
		return nil, err
	}
	added, err := pgx.CollectRows(rows, pgx.RowTo[int])
	slices.Sort(added)
	return added, err
}

// Place is where a page of entries ended.
type Place struct {
	OccurredAt time.Time
	ID         int64
}

// List finds entries, newest first unless the query says otherwise, behind a
// place where one is given. After is inclusive, Before is not. Details of more
// than maxDetails bytes are replaced by their size.
func (s *Store) List(ctx context.Context, q contract.AuditQuery, behind *Place, maxDetails int) ([]contract.AuditEntry, error) {
	var rows []logRow
	order, beyond := "l.occurred_at DESC, l.id DESC", "(l.occurred_at, l.id) < (?, ?)"
	if q.OldestFirst {
		order, beyond = "l.occurred_at, l.id", "(l.occurred_at, l.id) > (?, ?)"
	}
	sel := s.db.Bun.NewSelect().Model(&rows).
		Column("id", "event_id", "action", "actor", "request_id", "occurred_at").
		ColumnExpr(`CASE WHEN octet_length(l.details::text) <= ? THEN l.details
			ELSE json_build_object('omitted_bytes', octet_length(l.details::text)) END AS details`, maxDetails).
		OrderExpr(order).Limit(int64(q.Limit)).Offset(int64(q.Offset))
	if behind != nil {
		sel = sel.Where(beyond, behind.OccurredAt, behind.ID)
	}
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
	if q.RequestID != "" {
		sel = sel.Where("l.request_id = ?", q.RequestID)
	}
	if q.EventID != "" {
		sel = sel.Where("l.event_id = ?", q.EventID)
	}
	if q.After != nil {
		sel = sel.Where("l.occurred_at >= ?", *q.After)
	}
	if q.Before != nil {
		sel = sel.Where("l.occurred_at < ?", *q.Before)
	}
	return sel
}
