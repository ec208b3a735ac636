package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
)

// lockKey is the advisory lock under which one process at a time migrates.
const lockKey = 0x6e65787573 // "nexus"

// locked runs fn on a database of one connection, which holds the migration lock: the
// lock goes when the connection does, and nobody goes on without it. So a crash cannot
// leave it behind, and a pool of one connection is enough.
func locked(ctx context.Context, db *bun.DB, fn func(db *bun.DB) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Raw(func(raw any) (err error) {
		own, ok := raw.(connection)
		if !ok {
			return fmt.Errorf("connect to migrate: a %T cannot be used alone", raw)
		}
		one := sql.OpenDB(lender{own, db.Driver()})
		// More would be the same connection, used by two at once.
		one.SetMaxOpenConns(1)
		defer func() { err = errors.Join(err, one.Close()) }()
		if _, err := one.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockKey); err != nil {
			return fmt.Errorf("wait for the migration lock: %w", err)
		}
		defer func() {
			_, unlockErr := one.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", lockKey)
			err = errors.Join(err, unlockErr)
		}()
		return fn(bun.NewDB(one, db.Dialect()))
	})
}

// connection is what a driver's connection has to be able to do by itself.
type connection interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
}

// lender gives out one connection that belongs to somebody else.
type lender struct {
	conn   connection
	driver driver.Driver
}

func (l lender) Connect(context.Context) (driver.Conn, error) { return lent{l.conn}, nil }
func (l lender) Driver() driver.Driver                        { return l.driver }

// lent is closed by whom it belongs to.
type lent struct{ connection }

func (lent) Close() error { return nil }
