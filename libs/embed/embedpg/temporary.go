package embedpg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"nexus.internal/libs/embed/internal/dirlock"
)

const (
	temporaryPrefix = "nexus-pg-"
	// staleAfter keeps sweep away from folders that a program has only just
	// created and not locked yet.
	staleAfter = time.Minute
)

// temporaryDir creates a data folder that goes when its server stops, and
// removes those of programs that were killed before.
func temporaryDir(ctx context.Context) (string, error) {
	sweep(ctx, os.TempDir())
	dir, err := os.MkdirTemp("", temporaryPrefix)
	if err != nil {
		return "", fmt.Errorf("create a temporary data folder: %w", err)
	}
	return dir, nil
}

// sweep removes the temporary data folders in base that nobody uses any more.
// It is housekeeping: what cannot be removed stays.
func sweep(ctx context.Context, base string) {
	found, err := filepath.Glob(filepath.Join(base, temporaryPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range found {
		if stale(ctx, dir) {
			removeUnused(dir)
		}
	}
}

// stale reports whether dir is an old data folder of this user without a server.
func stale(ctx context.Context, dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || ownerOf(info).uid != currentAccount().uid || time.Since(info.ModTime()) < staleAfter {
		return false
	}
	cluster := filepath.Join(dir, clusterName)
	pm, found, err := readPostmaster(cluster)
	return err == nil && (!found || !servesCluster(ctx, pm.pid, cluster))
}

// removeUnused removes dir unless a program holds its lock.
func removeUnused(dir string) {
	lock, err := dirlock.Acquire(filepath.Join(dir, lockName))
	if err != nil {
		return
	}
	_ = os.RemoveAll(dir)
	_ = lock.Release()
}
