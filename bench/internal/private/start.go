package private

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"nexus.internal/bench/internal/pace"
)

// Names inside a data folder of nexus.
const (
	postmasterFile = "postgres/cluster/postmaster.pid"
	adminKeyFile   = "keys/user-admin.nk"
	logName        = "nexus.log"
)

const (
	startWithin = 90 * time.Second
	// stopWithin is longer than nexus itself gives its parts to drain.
	stopWithin = 75 * time.Second
)

// Options say what to run.
type Options struct {
	// Binary is the nexus program.
	Binary string
	// Dir is the folder below which the data is kept while it runs.
	Dir string
	// Keep, if not "", is the folder of the data. It is used as it is, or made, and
	// stays when nexus ends.
	Keep string
	// Settings are further environment variables, NAME=VALUE.
	Settings []string
}

// Server is a nexus that runs.
type Server struct {
	// HTTPAddr is where the REST API listens, as host:port.
	HTTPAddr string
	// Key is an API key with the role admin.
	Key string
	// NATSURL and NATSKeyFile open the NATS server as its admin.
	NATSURL, NATSKeyFile string
	// DatabaseURL opens Postgres as its superuser.
	DatabaseURL string
	// PID is the nexus process, PostgresPID the main process of Postgres.
	PID, PostgresPID int
	// DataDir is where it keeps everything.
	DataDir string

	keep     bool
	settings []string
	cmd      *exec.Cmd
	ended    chan struct{}
	endErr   error // set before ended is closed
}

// Start starts a nexus and returns once it serves. ctx bounds its life: when it
// ends, so does the process.
func Start(ctx context.Context, opts Options) (*Server, error) {
	dir, err := folder(opts)
	if err != nil {
		return nil, fmt.Errorf("make a data folder: %w", err)
	}
	// As root, Postgres runs as a user of its own, who must get through. What is
	// secret inside has modes of its own.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	s := &Server{keep: opts.Keep != "", settings: opts.Settings, DataDir: filepath.Join(dir, "data"), Key: "bench-" + rand.Text(), ended: make(chan struct{})}
	out, err := s.launch(ctx, dir, opts)
	if err == nil {
		err = s.awaitReady(ctx, out)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start nexus: %w", err), s.explain(), s.Stop(ctx))
	}
	return s, nil
}

func folder(opts Options) (string, error) {
	if opts.Keep == "" {
		return os.MkdirTemp(opts.Dir, "nexus-load-")
	}
	dir, err := filepath.Abs(opts.Keep)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// environment is what nexus sees: what programs need to run at all, our
// settings, and nothing that this machine sets for another nexus.
func (s *Server) environment(settings []string) []string {
	env := []string{
		"NEXUS_DATA_DIR=" + s.DataDir, "NEXUS_HTTP_ADDR=127.0.0.1:0", "NEXUS_NATS_LISTEN=127.0.0.1:-1",
		"NEXUS_BENCH_JOBS_ENABLED=true", "NEXUS_BOOTSTRAP_ADMIN_KEY=" + s.Key,
		// What is measured is how fast it is, not how fast it lets anybody be.
		"NEXUS_RATE_LIMIT_DEFAULTS=admin=0",
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "NEXUS_PG_BIN"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, settings...)
}

func (s *Server) launch(ctx context.Context, dir string, opts Options) (io.Reader, error) {
	binary, err := filepath.Abs(opts.Binary)
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, logName))
	if err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	defer func() { _ = log.Close() }()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = in.Close() }()
	s.cmd = exec.CommandContext(ctx, binary, "up")
	// Its own folder: a .env in ours is not for it. Its own group: Ctrl-C reaches
	// it once, through Cancel, and not twice, which would skip its drain.
	s.cmd.Dir, s.cmd.Env, s.cmd.SysProcAttr = dir, s.environment(opts.Settings), &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stdout, s.cmd.Stderr = in, log
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = stopWithin
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", binary, err), out.Close())
	}
	s.PID = s.cmd.Process.Pid
	go func() {
		s.endErr = s.cmd.Wait()
		close(s.ended)
	}()
	return out, nil
}

// awaitReady waits until nexus has said where it listens, and finds the servers
// it brought. The pipe stays open to the end: nexus may print more.
func (s *Server) awaitReady(ctx context.Context, out io.Reader) error {
	type banner struct {
		addresses
		err error
	}
	read := make(chan banner, 1)
	go func() {
		a, err := readBanner(out)
		read <- banner{a, err}
		_, _ = io.Copy(io.Discard, out)
	}()
	timer := time.NewTimer(startWithin)
	defer timer.Stop()
	select {
	case b := <-read:
		if b.err != nil {
			return b.err
		}
		s.HTTPAddr, s.NATSURL = b.http, b.nats
	case <-timer.C:
		return fmt.Errorf("it was not ready within %s", startWithin)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.NATSKeyFile = filepath.Join(s.DataDir, adminKeyFile)
	return s.findPostgres()
}

func (s *Server) findPostgres() error {
	text, err := os.ReadFile(filepath.Join(s.DataDir, postmasterFile))
	if err != nil {
		return fmt.Errorf("find Postgres: %w", err)
	}
	pm, err := parsePostmaster(string(text))
	if err != nil {
		return err
	}
	s.PostgresPID = pm.pid
	query := url.Values{"host": {pm.socket}, "port": {pm.port}, "sslmode": {"disable"}}
	s.DatabaseURL = (&url.URL{Scheme: "postgres", User: url.User("nexus"), Path: "/nexus", RawQuery: query.Encode()}).String()
	return nil
}

// explain is the end of the log, for whoever wonders why nexus failed.
func (s *Server) explain() error {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(s.DataDir), logName))
	if err != nil || len(text) == 0 {
		return nil
	}
	return errors.New("its log ends with:\n" + lastLines(string(text), 12))
}

// Err explains why nexus ended by itself; nil while it runs.
func (s *Server) Err() error {
	select {
	case <-s.ended:
		return errors.Join(fmt.Errorf("nexus ended by itself: %w", s.endErr), s.explain())
	default:
		return nil
	}
}

// Stop ends nexus, with what it started, and removes its data unless it is to be
// kept. It does so even when ctx has ended.
func (s *Server) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	var errs []error
	if s.PID != 0 {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("tell nexus to stop: %w", err))
		}
		select {
		case <-s.ended:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("nexus did not stop within %s: %w", stopWithin, s.cmd.Process.Kill()))
			<-s.ended
		}
		errs = append(errs, s.awaitPostgresEnd(ctx))
	}
	if !s.keep {
		errs = append(errs, os.RemoveAll(filepath.Dir(s.DataDir)))
	}
	return errors.Join(errs...)
}

// awaitPostgresEnd waits until Postgres is gone too, so that its files can go.
func (s *Server) awaitPostgresEnd(ctx context.Context) error {
	if s.PostgresPID == 0 {
		return nil
	}
	return pace.Until(ctx, "Postgres has ended", 20*time.Millisecond, 20*time.Second, func(context.Context) (bool, error) {
		return syscall.Kill(s.PostgresPID, 0) != nil, nil
	})
}
