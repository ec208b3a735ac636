package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
)

// ErrUnknown means that there is no such dead letter.
var ErrUnknown = errors.New("no such dead letter")

// Letter is a dead letter with what was done with it.
type Letter struct {
	Summary contract.DeadLetterSummary
	Headers json.RawMessage
	Body    []byte
	Marks   []contract.DeadLetterMark
}

// The subject of a dead letter is nexus.dead.<service>.<reason>.
const summaryColumns = `d.id, d.received_at, split_part(d.subject, '.', 3), d.reason, d.origin, d.body_size, octet_length(d.body),
	(SELECT count(*) FROM audit.dead_letter_marks m WHERE m.letter_id = d.id AND m.what = 'replayed'),
	EXISTS (SELECT FROM audit.dead_letter_marks m WHERE m.letter_id = d.id AND m.what = 'discarded')`

const listDeadSQL = `SELECT ` + summaryColumns + ` FROM audit.dead_letters d
WHERE ($1 = '' OR split_part(d.subject, '.', 3) = $1) AND ($2 = '' OR d.reason = $2 OR split_part(d.subject, '.', 4) = $2)
	AND ($3 = '' OR d.origin = $3) AND ($4::timestamptz IS NULL OR d.received_at >= $4) AND ($5::timestamptz IS NULL OR d.received_at < $5)
	AND ($6::bigint = 0 OR d.id < $6)
	AND ($7 OR NOT EXISTS (SELECT FROM audit.dead_letter_marks m WHERE m.letter_id = d.id AND m.what = 'discarded'))
ORDER BY d.id DESC LIMIT $8`

// DeadLetters finds the newest dead letters that q selects; before is an id that
// theirs are below, or 0.
func (s *Store) DeadLetters(ctx context.Context, q contract.DeadLetterQuery, before int64) ([]contract.DeadLetterSummary, error) {
	rows, err := s.db.Pool.Query(ctx, listDeadSQL, q.Service, q.Reason, q.Origin, q.After, q.Before, before, q.All, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (contract.DeadLetterSummary, error) {
		var l contract.DeadLetterSummary
		err := row.Scan(summaryInto(&l)...)
		l.ReceivedAt = l.ReceivedAt.UTC()
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return out, nil
}

func summaryInto(l *contract.DeadLetterSummary) []any {
	return []any{&l.ID, &l.ReceivedAt, &l.Service, &l.Reason, &l.Subject, &l.BodySize, &l.KeptSize, &l.Replays, &l.Discarded}
}

// DeadLetter finds one. The error wraps ErrUnknown where there is none.
func (s *Store) DeadLetter(ctx context.Context, id int64) (Letter, error) {
	var l Letter
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) (err error) {
		l, err = letterIn(ctx, tx, id)
		return err
	})
	return l, err
}

func letterIn(ctx context.Context, tx *pg.Tx, id int64) (Letter, error) {
	var l Letter
	err := tx.QueryRow(ctx, `SELECT `+summaryColumns+`, d.headers, d.body FROM audit.dead_letters d WHERE d.id = $1`, id).
		Scan(append(summaryInto(&l.Summary), &l.Headers, &l.Body)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return l, fmt.Errorf("dead letter %d: %w", id, ErrUnknown)
	}
	if err != nil {
		return l, fmt.Errorf("read dead letter %d: %w", id, err)
	}
	l.Summary.ReceivedAt = l.Summary.ReceivedAt.UTC()
	rows, err := tx.Query(ctx, `SELECT what, marked_at, actor, request_id FROM audit.dead_letter_marks WHERE letter_id = $1 ORDER BY id DESC LIMIT 100`, id)
	if err != nil {
		return l, fmt.Errorf("read the marks of dead letter %d: %w", id, err)
	}
	l.Marks, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (contract.DeadLetterMark, error) {
		var m contract.DeadLetterMark
		err := row.Scan(&m.What, &m.At, &m.Actor, &m.RequestID)
		m.At = m.At.UTC()
		return m, err
	})
	if err != nil {
		return l, fmt.Errorf("read the marks of dead letter %d: %w", id, err)
	}
	return l, nil
}

// markLock is the class of the advisory locks under which letters are marked,
// one at a time for each.
const markLock = 0x646c

// Mark adds a mark to a letter after do has agreed and done what it says. Marks
// of one letter are made one after the other, so do sees all that came before.
// Where the commit fails do was done and is not marked: it must bear repeating.
func (s *Store) Mark(ctx context.Context, id int64, what string, by contract.Asker, do func(Letter) error) (Letter, error) {
	var l Letter
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) (err error) {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashint8($2))`, markLock, id); err != nil {
			return fmt.Errorf("wait for dead letter %d: %w", id, err)
		}
		if l, err = letterIn(ctx, tx, id); err != nil {
			return err
		}
		if err := do(l); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO audit.dead_letter_marks (letter_id, what, actor, request_id) VALUES ($1, $2, $3, $4)`,
			id, what, by.Actor, by.RequestID); err != nil {
			return fmt.Errorf("mark dead letter %d: %w", id, err)
		}
		l, err = letterIn(ctx, tx, id)
		return err
	})
	return l, err
}
