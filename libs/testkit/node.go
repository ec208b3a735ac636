package testkit

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// NodeProgram is a program in JavaScript that runs until the test ends.
type NodeProgram struct {
	t   testing.TB
	cmd *exec.Cmd
	out <-chan string
}

// Node copies a folder of the repository with a package.json and a lock file,
// installs what it depends on, and starts one of its scripts. Where Node.js or npm
// is missing the system's packages are installed; where that fails the test does.
func Node(t testing.TB, folder, script string, env ...string) *NodeProgram {
	t.Helper()
	root := repository(t)
	bin, err := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "node.sh")).Output() //nolint:gosec // our own script
	require.NoError(t, err, "Node.js is needed for this test: scripts/node.sh says what is missing")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, folder))))
	path := "PATH=" + strings.TrimSpace(string(bin)) + string(os.PathListSeparator) + os.Getenv("PATH")
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	install.Dir, install.Env = dir, append(os.Environ(), path)
	said, err := install.CombinedOutput()
	require.NoError(t, err, "npm ci: %s", said)

	cmd := exec.Command("node", script) //nolint:gosec,noctx // it is told to end when the test does
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), path), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	lines := make(chan string, 64)
	p := &NodeProgram{t: t, cmd: cmd, out: lines}
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(pipe); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			default:
			}
		}
	}()
	t.Cleanup(p.Kill)
	return p
}

// Said waits until the program prints a line.
func (p *NodeProgram) Said(line string) {
	p.t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case got, open := <-p.out:
			require.True(p.t, open, "the program has ended")
			if got == line {
				return
			}
		case <-deadline:
			p.t.Fatalf("the program did not say %q", line)
		}
	}
}

// Kill ends the program at once. It may be called twice.
func (p *NodeProgram) Kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	for range p.out {
		// The pipe is read to its end before Wait closes it.
	}
	_ = p.cmd.Wait()
}

// repository is the root of the checkout.
func repository(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	require.True(t, ok)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
