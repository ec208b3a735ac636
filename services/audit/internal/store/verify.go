package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"nexus.internal/services/audit/internal/trail"
)

// verifyPage is how many segments are read at once.
const verifyPage = 200

// Verify walks the segments that were recorded in a range of time, oldest first,
// and holds them and their entries to the chain. Zero times leave an end open;
// without a beginning it also looks for entries that no segment covers. The
// first broken place ends it, with a *trail.BrokenError.
func (s *Store) Verify(ctx context.Context, from, to time.Time) (trail.Report, error) {
	var report trail.Report
	err := pgx.BeginTxFunc(ctx, s.db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		walk := trail.NewWalk()
		for after := int64(-1); ; {
			segments, err := segmentsAfter(ctx, tx, after, from, to)
			if err != nil {
				return err
			}
			if len(segments) == 0 {
				break
			}
			last := segments[len(segments)-1].Number
			if err := follow(ctx, tx, walk, segments); err != nil {
				return err
			}
			after = last
		}
		report = walk.Report()
		if !from.IsZero() || !to.IsZero() {
			return nil
		}
		return uncovered(ctx, tx, &report)
	})
	if err != nil {
		return trail.Report{}, fmt.Errorf("verify the audit trail: %w", err)
	}
	return report, nil
}

func segmentsAfter(ctx context.Context, tx pgx.Tx, after int64, from, to time.Time) ([]trail.Recorded, error) {
	rows, err := tx.Query(ctx, `SELECT number, recorded_at, entries, previous, hash FROM audit.segments
		WHERE number > $1 AND ($2::timestamptz IS NULL OR recorded_at >= $2) AND ($3::timestamptz IS NULL OR recorded_at < $3)
		ORDER BY number LIMIT $4`, after, timeOrNull(from), timeOrNull(to), verifyPage)
	if err != nil {
		return nil, fmt.Errorf("read segments: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (trail.Recorded, error) {
		var r trail.Recorded
		var previous, hash []byte
		if err := row.Scan(&r.Number, &r.RecordedAt, &r.Entries, &previous, &hash); err != nil {
			return r, err
		}
		r.Previous, r.Hash = trail.Hash(previous), trail.Hash(hash)
		return r, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read segments: %w", err)
	}
	return out, nil
}

// follow walks along a page of segments with the entries of each.
func follow(ctx context.Context, tx pgx.Tx, walk *trail.Walk, segments []trail.Recorded) error {
	rows, err := tx.Query(ctx, `SELECT segment, position, event_id, action, actor, source, request_id, trace_id, occurred_at, details::text FROM audit.audit_logs
		WHERE segment BETWEEN $1 AND $2 ORDER BY segment, position`, segments[0].Number, segments[len(segments)-1].Number)
	if err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	defer rows.Close()
	more := rows.Next()
	for _, segment := range segments {
		if err := walk.Begin(segment); err != nil {
			return err
		}
		for more {
			number, position, entry, err := scanEntry(rows)
			if err != nil {
				return err
			}
			if number > segment.Number {
				break
			}
			walk.Add(number, position, entry)
			more = rows.Next()
		}
		if err := walk.End(); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	return nil
}

func scanEntry(rows pgx.Rows) (segment int64, position int, e trail.Entry, err error) {
	var details string
	err = rows.Scan(&segment, &position, &e.EventID, &e.Action, &e.Actor, &e.Source, &e.RequestID, &e.TraceID, &e.OccurredAt, &details)
	if err != nil {
		return 0, 0, e, fmt.Errorf("read an entry: %w", err)
	}
	e.Details = []byte(details)
	return segment, position, e, nil
}

// uncovered looks for entries that no segment covers, beyond those from before
// the chain.
func uncovered(ctx context.Context, tx pgx.Tx, report *trail.Report) error {
	var loose, early int64
	err := tx.QueryRow(ctx, `SELECT count(*) FILTER (WHERE s.number IS NULL OR l.position IS NULL), coalesce((SELECT entries FROM audit.segments WHERE number = 0), 0)
		FROM audit.audit_logs AS l LEFT JOIN audit.segments AS s ON s.number = l.segment`).Scan(&loose, &early)
	if err != nil {
		return fmt.Errorf("count uncovered entries: %w", err)
	}
	report.Early = early
	switch {
	case loose > early:
		return &trail.BrokenError{Kind: trail.Inserted, Detail: fmt.Sprintf("%d entries belong to no segment", loose-early)}
	case loose < early:
		return &trail.BrokenError{Kind: trail.Removed, Detail: fmt.Sprintf("%d of the %d entries from before the chain are gone", early-loose, early)}
	}
	return nil
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// SegmentHash is the hash of one segment, where there is one.
func (s *Store) SegmentHash(ctx context.Context, number int64) (hash []byte, found bool, err error) {
	err = s.db.Pool.QueryRow(ctx, `SELECT hash FROM audit.segments WHERE number = $1`, number).Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look up segment %d: %w", number, err)
	}
	return hash, true, nil
}
