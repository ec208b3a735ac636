//go:build !linux

package embedpg

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// signalOnParentDeath does nothing: there is no such signal here. The next
// Start stops a server that outlived its program.
func signalOnParentDeath(*syscall.SysProcAttr) {}

// openFiles is where Linux shows a program its own open files.
const openFiles = "/proc/self/fd"

// canHandOver reports whether a program can be given a folder open.
func canHandOver() bool { return false }

// servesCluster reports whether process pid is a PostgreSQL server for the
// cluster folder, going by its command line.
func servesCluster(ctx context.Context, pid int, cluster string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), cluster)
}
