package embedpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// How patient the program is with a server that shall stop.
const (
	pollInterval = 10 * time.Millisecond
	// orphanPatience is how long a server left behind may take for a fast
	// shutdown, which writes a checkpoint.
	orphanPatience = time.Minute
)

// postmaster is what a running server says about itself in postmaster.pid
// (PostgreSQL source, src/include/utils/pidfile.h).
type postmaster struct {
	pid   int
	ready bool
}

func pidFile(cluster string) string { return filepath.Join(cluster, "postmaster.pid") }

// readPostmaster reads postmaster.pid. found is false when there is none, or
// when its first line is not a number: it says nothing then, and PostgreSQL
// itself refuses to start on it.
func readPostmaster(cluster string) (pm postmaster, found bool, err error) {
	text, err := os.ReadFile(pidFile(cluster))
	if errors.Is(err, fs.ErrNotExist) {
		return postmaster{}, false, nil
	}
	if err != nil {
		return postmaster{}, false, fmt.Errorf("read the server's pid file: %w", err)
	}
	const pidLine, statusLine = 0, 7
	lines := strings.Split(string(text), "\n")
	if pm.pid, err = strconv.Atoi(strings.TrimSpace(lines[pidLine])); err != nil || pm.pid <= 0 {
		return postmaster{}, false, nil
	}
	pm.ready = len(lines) > statusLine && strings.TrimSpace(lines[statusLine]) == "ready"
	return pm, true, nil
}

// clearOrphan stops the server that a killed program may have left running on
// the cluster, and removes a pid file that would keep a new server from
// starting. The caller holds the lock of the data folder, so a server that
// still runs is nobody's.
func clearOrphan(ctx context.Context, cluster string, log zerolog.Logger) error {
	pm, found, err := readPostmaster(cluster)
	if err != nil || !found {
		return err
	}
	if servesCluster(ctx, pm.pid, cluster) {
		log.Warn().Int("pid", pm.pid).Str("folder", cluster).Msg("stopping a PostgreSQL server that an earlier run left behind")
		return stopOrphan(ctx, pm.pid, cluster)
	}
	// PostgreSQL refuses to start while any process of its user has the number
	// in the file. It copes by itself when there is no such process.
	if syscall.Kill(pm.pid, 0) == nil {
		if err := os.Remove(pidFile(cluster)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a stale pid file: %w", err)
		}
	}
	return nil
}

// stopOrphan asks for a fast shutdown, and for an immediate one when that takes
// too long.
func stopOrphan(ctx context.Context, pid int, cluster string) error {
	gone := func() (bool, error) { return !servesCluster(ctx, pid, cluster), nil }
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop the PostgreSQL server left behind (pid %d): %w", pid, err)
		}
		patience, cancel := context.WithTimeout(ctx, orphanPatience)
		err := poll(patience, gone)
		cancel()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("the PostgreSQL server left behind (pid %d) on %s does not stop: %w", pid, cluster,
		cmp.Or(context.Cause(ctx), context.DeadlineExceeded))
}

// poll calls check until it says true or fails, or ctx ends.
func poll(ctx context.Context, check func() (bool, error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if ok, err := check(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
