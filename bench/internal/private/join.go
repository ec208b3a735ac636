package private

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"nexus.internal/bench/internal/pace"
)

// joinWithin bounds the start of one more process.
const joinWithin = 30 * time.Second

// Join starts n more processes of one service beside the server, with further
// settings, and returns once they serve. stop ends them.
func (s *Server) Join(ctx context.Context, service string, n int, settings ...string) (stop func() error, err error) {
	var joined []*exec.Cmd
	stop = func() error {
		var errs []error
		for _, cmd := range joined {
			errs = append(errs, cmd.Process.Signal(syscall.SIGTERM))
		}
		for _, cmd := range joined {
			errs = append(errs, cmd.Wait())
		}
		return errors.Join(errs...)
	}
	for i := range n {
		cmd, err := s.joinOne(ctx, service, i, settings)
		if cmd != nil {
			joined = append(joined, cmd)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start another %s: %w", service, err), stop())
		}
	}
	return stop, nil
}

func (s *Server) joinOne(ctx context.Context, service string, i int, settings []string) (*exec.Cmd, error) {
	log, err := os.Create(filepath.Join(filepath.Dir(s.DataDir), fmt.Sprintf("%s-%d.log", service, i)))
	if err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, s.cmd.Path, service)
	cmd.Dir, cmd.SysProcAttr = filepath.Dir(s.DataDir), &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(s.environment(s.settings), "NEXUS_NATS_URL="+s.NATSURL,
		"NEXUS_NATS_KEYS_DIR="+filepath.Dir(s.NATSKeyFile), "NEXUS_DATABASE_URL="+s.DatabaseURL)
	cmd.Env = append(cmd.Env, settings...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWithin
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s %s: %w", s.cmd.Path, service, err)
	}
	return cmd, pace.Until(ctx, service+" serves", 50*time.Millisecond, joinWithin, func(context.Context) (bool, error) {
		return isReady(log.Name())
	})
}

// isReady reports whether a process has written that it serves.
func isReady(log string) (bool, error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return false, fmt.Errorf("look whether it serves: %w", err)
	}
	return bytes.Contains(text, []byte(`"message":"ready"`)), nil
}
