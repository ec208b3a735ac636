package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds waits for programs on a busy machine.
const patience = 60 * time.Second

// coverDir is where the program leaves its coverage; empty for none.
const coverDir = "NEXUS_E2E_COVER_DIR"

// binary builds the program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nexus-e2e-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-C", "../../cmd/nexus", "-o", filepath.Join(dir, "nexus")}
	if os.Getenv(coverDir) != "" {
		args = append(args, "-cover", "-coverpkg=nexus.internal/...")
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nexus: %w\n%s", err, out)
	}
	return filepath.Join(dir, "nexus"), nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// dataDir makes a folder that an unprivileged Postgres can reach.
func dataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nexus-e2e-data-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// process is a running nexus.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	mu   sync.Mutex
	logs bytes.Buffer
	// out is what it printed.
	out  bytes.Buffer
	done chan struct{}
	// http and nats are the addresses it told.
	http, nats string
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.String()
}

func (p *process) print(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.WriteString(line + "\n")
}

func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func command(t testing.TB, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOCOVERDIR="+os.Getenv(coverDir))
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// launch starts a command of nexus and waits until it says that it serves.
func launch(t testing.TB, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: command(t, dir, env, args...), done: make(chan struct{})}
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p
	require.NoError(t, p.cmd.Start())
	lines := make(chan string, 100)
	go func() {
		scan := bufio.NewScanner(stdout)
		for scan.Scan() {
			p.print(scan.Text())
			lines <- scan.Text()
		}
		close(lines)
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("log of nexus %s:\n%s", strings.Join(args, " "), tail(p.log(), 6000))
		}
	})
	p.await(lines, args[0])
	return p
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (p *process) await(lines <-chan string, what string) {
	p.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case line, open := <-lines:
			if !open {
				<-p.done
				require.FailNow(p.t, "nexus "+what+" ended", p.log())
			}
			fields := strings.Fields(line)
			switch {
			case strings.HasPrefix(line, "  REST API"):
				p.http = fields[2]
			case strings.HasPrefix(line, "  NATS"):
				p.nats = fields[1]
			case strings.HasPrefix(line, "Ctrl-C"), strings.HasPrefix(line, "  Keys"):
				go drainLines(lines)
				return
			}
		case <-poll.C:
			// A single service says so in its log only.
			if what != "up" && what != "nats" && strings.Contains(p.log(), `"message":"ready"`) {
				p.http = addressIn(p.log())
				go drainLines(lines)
				return
			}
		case <-deadline.C:
			require.FailNow(p.t, "nexus "+what+" was not ready in time", p.log())
		}
	}
}

func drainLines(lines <-chan string) {
	for range lines { // the program must not block on its output
	}
}

// addressIn finds the address of the REST API in a log.
func addressIn(log string) string {
	_, rest, ok := strings.Cut(log, `"address":"`)
	if !ok {
		return ""
	}
	address, _, _ := strings.Cut(rest, `"`)
	return "http://" + address
}

// end ends the process in order, so that it can leave its coverage, or at once
// when it does not.
func (p *process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience / 2):
		p.kill()
	}
}

// kill ends the process at once, as a crash would.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// stop ends the process in order and requires that it does.
func (p *process) stop() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(patience):
		require.FailNow(p.t, "nexus did not stop in time", p.log())
	}
	require.True(p.t, p.cmd.ProcessState.Success(), "nexus ended with %s:\n%s", p.cmd.ProcessState, tail(p.log(), 3000))
}

// freePorts lets everything choose its own address.
func freePorts() []string {
	return []string{"NEXUS_HTTP_ADDR=127.0.0.1:0", "NEXUS_NATS_LISTEN=127.0.0.1:-1"}
}

func corpusRoot(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../../examples/corpus")
	require.NoError(t, err)
	return root
}

var _ io.Writer = (*process)(nil)
