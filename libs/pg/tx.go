package pg

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// conflictTries bounds how often InPgxTx runs fn when Postgres gives it up in
// favour of a concurrent transaction.
const conflictTries = 4

// conflictPause is the first pause between those tries.
const conflictPause = 5 * time.Millisecond

// byKeys keeps the planner from reading a table whole and from planning the same
// statement again and again. While a table is young or was just emptied it thinks
// the former cheap, and a connection keeps the plan when the table has grown.
const byKeys = `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`

// rollbackWithin bounds the taking back of a transaction whose context ended.
const rollbackWithin = 2 * time.Second

// InPgxTx is InTx for the statements of the hot paths, which find rows by keys and
// through indexes. fn is run again when its transaction lost a deadlock or a
// serialization conflict, so it must not keep anything of a run that failed.
func InPgxTx(ctx context.Context, db *DB, fn func(tx *Tx) error) error {
	var err error
	for try := range conflictTries {
		if try > 0 {
			// Those who collided must not collide again at once.
			select {
			case <-time.After(time.Duration(try*try) * conflictPause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err = inTx(ctx, db, fn)
		if s := sqlState(err); s != codeDeadlock && s != codeSerialization {
			return err
		}
	}
	return err
}

func inTx(ctx context.Context, db *DB, fn func(tx *Tx) error) (err error) {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx := &Tx{conn: conn.Conn()}
	ended := false
	defer func() {
		// After a panic, too: the connection goes back to the pool.
		if !ended {
			tx.rollback(ctx)
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return err
	}
	ended = true
	return nil
}

// Tx is a transaction that spares round trips to the server: BEGIN travels with
// its first statements, and what AtCommit takes with COMMIT.
type Tx struct {
	conn  *pgx.Conn
	begun bool
	last  pgx.Batch
}

// Query runs a statement that returns rows. They must be read or closed before
// the next statement.
func (t *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if t.begun {
		return t.conn.Query(ctx, sql, args...)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	results, err := t.begin(ctx, b)
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, errors.Join(err, results.Close())
	}
	return &firstRows{Rows: rows, results: results}, nil
}

// QueryRow runs a statement that returns at most one row.
func (t *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := t.Query(ctx, sql, args...)
	return oneRow{rows, err}
}

// Exec runs a statement.
func (t *Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if t.begun {
		return t.conn.Exec(ctx, sql, args...)
	}
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	results, err := t.begin(ctx, b)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, firstOf(err, results.Close())
}

// SendBatch runs statements in one round trip. The results must be closed
// before the next statement.
func (t *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if t.begun {
		return t.conn.SendBatch(ctx, b)
	}
	results, err := t.begin(ctx, b)
	if err != nil {
		return failedBatch{err}
	}
	return results
}

// CopyFrom copies rows into a table and returns how many there were. It fails
// where INSERT would, and cannot pass over rows that are there already.
func (t *Tx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if !t.begun {
		results, err := t.begin(ctx, &pgx.Batch{})
		if err == nil {
			err = results.Close()
		}
		if err != nil {
			return 0, err
		}
	}
	return t.conn.CopyFrom(ctx, table, columns, rows)
}

// begin sends statements behind a BEGIN and takes the answer to that.
func (t *Tx) begin(ctx context.Context, b *pgx.Batch) (pgx.BatchResults, error) {
	all := &pgx.Batch{}
	all.Queue("begin")
	all.Queue(byKeys)
	all.QueuedQueries = append(all.QueuedQueries, b.QueuedQueries...)
	results := t.conn.SendBatch(ctx, all)
	// Whatever comes of it, the transaction may be open from here on.
	t.begun = true
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return nil, fmt.Errorf("begin a transaction: %w", firstOf(err, results.Close()))
		}
	}
	return results, nil
}

// AtCommit takes statements that are sent with the COMMIT. They fail there, and
// the transaction with them.
func (t *Tx) AtCommit() Last { return Last{t} }

// Last takes the last statements of a transaction.
type Last struct{ tx *Tx }

// Exec queues a statement. It never fails: what comes of it is known when the
// transaction ends.
func (l Last) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	l.tx.last.Queue(sql, args...)
	return pgconn.CommandTag{}, nil
}

// commit sends what waited for it and ends the transaction.
func (t *Tx) commit(ctx context.Context) error {
	if !t.begun && t.last.Len() == 0 {
		return nil
	}
	waiting := t.last.Len()
	t.last.Queue("commit")
	results := t.SendBatch(ctx, &t.last)
	for range waiting {
		if _, err := results.Exec(); err != nil {
			return firstOf(err, results.Close())
		}
	}
	tag, err := results.Exec()
	if err = firstOf(err, results.Close()); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if tag.String() != "COMMIT" {
		// A statement had failed and its error was passed over.
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// rollback takes back what was done, also when ctx has ended. A connection that
// cannot even do that is closed; the server then does it.
func (t *Tx) rollback(ctx context.Context) {
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackWithin)
	defer cancel()
	if _, err := t.conn.Exec(ctx, "rollback"); err != nil {
		_ = t.conn.Close(ctx)
	}
}

// firstRows are the rows of a first statement: the answer ends with them.
type firstRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

func (r *firstRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *firstRows) Close() {
	r.Rows.Close()
	if r.results == nil {
		return
	}
	err := r.results.Close()
	r.results = nil
	if r.Rows.Err() == nil {
		r.err = err
	}
}

func (r *firstRows) Err() error { return firstOf(r.Rows.Err(), r.err) }

// oneRow is the first row of rows, as pgx.Row has it.
type oneRow struct {
	rows pgx.Rows
	err  error
}

func (r oneRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return firstOf(r.rows.Err(), pgx.ErrNoRows)
	}
	err := r.rows.Scan(dest...)
	r.rows.Close()
	return firstOf(err, r.rows.Err())
}

// failedBatch answers everything with the error that kept a batch from being
// sent.
type failedBatch struct{ err error }

func (f failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, f.err }
func (f failedBatch) Query() (pgx.Rows, error)         { return nil, f.err }
func (f failedBatch) QueryRow() pgx.Row                { return oneRow{err: f.err} }
func (f failedBatch) Tx() pgx.Tx                       { return nil }
func (f failedBatch) Close() error                     { return f.err }

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
