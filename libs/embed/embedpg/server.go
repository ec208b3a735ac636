package embedpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5" //nolint:depguard // creates the database itself; there is no store yet
	"github.com/rs/zerolog"

	"nexus.internal/libs/embed/internal/dirlock"
)

const (
	// database is created in every private server.
	database = "nexus"
	// killPatience is how long an immediate shutdown may take. The server gives
	// its own children five seconds before it kills them.
	killPatience = 10 * time.Second
)

// Server is a private PostgreSQL server that runs. Its methods may be called
// from any goroutine.
type Server struct {
	log       zerolog.Logger
	lock      *dirlock.Lock
	temporary string // data folder to remove at the end; "" keeps it
	home      home
	socketDir string
	logPath   string
	logStart  int64
	process   *process

	stopping atomic.Bool
	done     chan struct{}
	err      error // set before done is closed
	stopOnce sync.Once
	stopErr  error
}

// URL is the connection string of the database nexus, as its superuser, over
// the unix socket.
func (s *Server) URL() string { return s.url(database) }

func (s *Server) url(database string) string {
	query := url.Values{"host": {s.socketDir}, "port": {port}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// PID is the number of the server's main process.
func (s *Server) PID() int { return s.process.running.Pid }

// Done is closed when the server has ended, whether it was stopped or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says why the server ended by itself. It is nil while the server runs, and
// after it was stopped.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop shuts the server down and waits until it has ended. Open transactions
// are rolled back, clients are disconnected, and a checkpoint is written. When
// ctx ends first the server is made to stop at once, which the next start
// repairs, and Stop returns the cause. It is safe to call more than once, and
// after the server died.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stopping.Store(true)
		err := s.process.stop(ctx)
		<-s.done
		s.stopErr = errors.Join(err, s.cleanUp())
	})
	return s.stopErr
}

// stop ends the server's process with less and less patience.
func (p *process) stop(ctx context.Context) error {
	p.signal(syscall.SIGINT)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	p.signal(syscall.SIGQUIT)
	timer := time.NewTimer(killPatience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.signal(syscall.SIGKILL)
		<-p.done
	}
	return fmt.Errorf("the PostgreSQL server did not shut down in time and was cut off: %w", context.Cause(ctx))
}

// cleanUp gives back what the server held. It comes after the server has ended.
func (s *Server) cleanUp() error {
	var err error
	if s.socketDir != "" && s.socketDir != s.home.socket() {
		err = dropShortDir(s.home.socket())
	}
	if s.temporary != "" {
		err = errors.Join(err, os.RemoveAll(s.temporary))
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Release())
	}
	return err
}

// watch waits for the end of the server and records why it came.
func (s *Server) watch() {
	<-s.process.done
	if !s.stopping.Load() {
		s.err = fmt.Errorf("the PostgreSQL server (pid %d) ended by itself: %w%s",
			s.PID(), s.process.ending(), tail(s.logPath, s.logStart))
	}
	close(s.done)
}

// ensureDatabase creates the database nexus unless it is there.
func (s *Server) ensureDatabase(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the new PostgreSQL server: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var exists bool
	const query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, query, database).Scan(&exists); err != nil {
		return fmt.Errorf("look for the database %s: %w", database, err)
	}
	if exists {
		return nil
	}
	create := "CREATE DATABASE " + pgx.Identifier{database}.Sanitize() +
		" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
	if _, err := conn.Exec(ctx, create); err != nil {
		return fmt.Errorf("create the database %s: %w", database, err)
	}
	return nil
}

// leftovers reports whether the last start failed because processes of a killed
// server still hold the data. They notice and go within moments.
func (s *Server) leftovers() bool {
	return strings.Contains(string(logSince(s.logPath, s.logStart)), "pre-existing shared memory block")
}

func (s *Server) openLog(dataDir string) (*os.File, error) {
	s.logPath = filepath.Join(dataDir, logName)
	file, start, err := openLog(s.logPath)
	if err != nil {
		return nil, err
	}
	s.logStart = start
	if err := s.home.account.own(s.logPath); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
