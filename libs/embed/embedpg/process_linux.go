package embedpg

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// signalOnParentDeath makes the kernel send SIGINT, PostgreSQL's fast shutdown,
// when this program dies without stopping its server.
func signalOnParentDeath(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// openFiles shows a program its own open files, by number.
const openFiles = "/proc/self/fd"

// canHandOver reports whether a program can be given a folder open.
func canHandOver() bool { return exists(openFiles) }

// servesCluster reports whether process pid is a PostgreSQL server that works
// in the cluster folder. A zombie or another program with a reused number is
// not. A server always works in its data folder.
func servesCluster(_ context.Context, pid int, cluster string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	program, err := os.Readlink(filepath.Join(proc, "exe"))
	if err != nil {
		return false
	}
	// The kernel marks a program whose file was replaced by an upgrade.
	if filepath.Base(strings.TrimSuffix(program, " (deleted)")) != "postgres" {
		return false
	}
	works, err := os.Stat(filepath.Join(proc, "cwd"))
	if err != nil {
		return false
	}
	wanted, err := os.Stat(cluster)
	return err == nil && os.SameFile(works, wanted)
}
