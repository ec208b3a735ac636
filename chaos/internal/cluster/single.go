package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Single is a Nexus of one process, as `nexus up` starts it, with a Postgres
// and a NATS server of its own.
type Single struct {
	process            *Process
	httpAddr, natsAddr string
	logPath            string
}

// StartSingle starts it. Whatever it returns must be closed.
func StartSingle(ctx context.Context, opts Options, settings ...string) (*Single, error) {
	s := &Single{logPath: filepath.Join(opts.Dir, "nexus.log")}
	// As root, Postgres runs as a user of its own, who must get through.
	if err := errors.Join(os.MkdirAll(opts.Dir, 0o755), os.Chmod(opts.Dir, 0o755)); err != nil {
		return s, fmt.Errorf("make a folder: %w", err)
	}
	var err error
	if s.httpAddr, err = freeAddress(ctx); err != nil {
		return s, err
	}
	if s.natsAddr, err = freeAddress(ctx); err != nil {
		return s, err
	}
	env := append(inherited(), "NEXUS_DATA_DIR="+filepath.Join(opts.Dir, "data"), "NEXUS_HTTP_ADDR="+s.httpAddr, "NEXUS_NATS_LISTEN="+s.natsAddr,
		"NEXUS_CORPUS_ROOT="+opts.CorpusRoot, "NEXUS_PG_BIN="+opts.PGBin, "NEXUS_BENCH_JOBS_ENABLED=true")
	env = append(env, settings...)
	s.process = &Process{Name: "nexus", logPath: s.logPath, ready: "Ctrl-C", command: func(int) *exec.Cmd {
		cmd := exec.Command(opts.Binary, "up") //nolint:noctx // it ends when it is told to
		cmd.Dir, cmd.Env = opts.Dir, env
		return cmd
	}}
	return s, s.process.Start(ctx)
}

// Address is where the REST API is, as host:port.
func (s *Single) Address() string { return s.httpAddr }

// NATSURL is where NATS is.
func (s *Single) NATSURL() string { return "nats://" + s.natsAddr }

// EndedByItself is how often the process ended without being told to.
func (s *Single) EndedByItself() int { return s.process.EndedByItself() }

// Log is everything it has printed and logged.
func (s *Single) Log() (string, error) { return (&running{}).log(s.logPath) }

// PeakMemory is the most memory that the current process ever had in use, in
// bytes; zero where the system does not tell.
func (s *Single) PeakMemory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.PID()))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the memory of nexus: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, nil
	}
	kilobytes, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory of nexus: %w", err)
	}
	return kilobytes << 10, nil
}

// Close ends it in order and keeps the files.
func (s *Single) Close() error {
	if s.process == nil {
		return nil
	}
	return s.process.Stop()
}
