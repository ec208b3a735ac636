package plans

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"nexus.internal/bench/internal/jobsdb"
	"nexus.internal/bench/internal/pace"
)

// Log reads plans from the log of a Postgres server.
type Log struct{ path string }

// Start makes the server log the plan of every statement, and ends the sessions
// of everybody else: it is those that come after that do so. Measuring costs
// time; what is timed must be over.
func Start(ctx context.Context, db *jobsdb.DB, logFile string) (*Log, error) {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	defer conn.Release()
	statements := []string{
		// Its settings can be set once it is known.
		`LOAD 'auto_explain'`,
		`ALTER SYSTEM SET session_preload_libraries = 'auto_explain'`,
		`ALTER SYSTEM SET auto_explain.log_min_duration = 0`,
		`ALTER SYSTEM SET auto_explain.log_analyze = on`,
		`ALTER SYSTEM SET auto_explain.log_buffers = on`,
		`SELECT pg_reload_conf()`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	}
	if err := execute(ctx, conn, statements); err != nil {
		return nil, err
	}
	return &Log{path: logFile}, nil
}

// Stop makes the server as it was for sessions to come.
func Stop(ctx context.Context, db *jobsdb.DB) error {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	defer conn.Release()
	return execute(ctx, conn, []string{`ALTER SYSTEM RESET session_preload_libraries`, `SELECT pg_reload_conf()`})
}

func execute(ctx context.Context, conn *pgxpool.Conn, statements []string) error {
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// patience is how long the plans of statements that were answered may take to
// be in the log.
const patience = 5 * time.Second

// Of runs fn and returns the plans of the statements that read the jobs
// meanwhile. fn must send some.
func (l *Log) Of(ctx context.Context, fn func() error) ([]Plan, error) {
	info, err := os.Stat(l.path)
	if err != nil {
		return nil, fmt.Errorf("find the log of Postgres: %w", err)
	}
	if err := fn(); err != nil {
		return nil, err
	}
	var found []Plan
	err = pace.Until(ctx, "the plan is in the log", 20*time.Millisecond, patience, func(context.Context) (bool, error) {
		text, err := readFrom(l.path, info.Size())
		if err != nil {
			return false, err
		}
		before := len(found)
		found = readers(parse(text))
		return len(found) > 0 && len(found) == before, nil
	})
	return found, err
}

func readFrom(path string, offset int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open the log of Postgres: %w", err)
	}
	_, seekErr := file.Seek(offset, io.SeekStart)
	text, readErr := io.ReadAll(file)
	if err := errors.Join(seekErr, readErr, file.Close()); err != nil {
		return "", fmt.Errorf("read the log of Postgres: %w", err)
	}
	return string(text), nil
}
