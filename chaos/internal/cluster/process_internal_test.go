package cluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// script describes a process that runs a shell script.
func script(t *testing.T, text string) *Process {
	t.Helper()
	p := &Process{
		Name: "script", logPath: filepath.Join(t.TempDir(), "log"), ready: "ready",
		command: func(int) *exec.Cmd { return exec.Command("sh", "-c", text) },
	}
	t.Cleanup(p.Kill)
	return p
}

func pid(p *Process) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current.cmd.Process.Pid
}

const serving = `trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done`

func TestAProcessIsStoppedAndStartedAgain(t *testing.T) {
	t.Parallel()
	p := script(t, serving)
	require.NoError(t, p.Stop(), "it never ran")
	p.Kill()
	require.Error(t, p.Freeze())
	require.NoError(t, p.Start(t.Context()))
	first := pid(p)
	require.Equal(t, "script.1", p.Worker())
	require.NoError(t, p.Freeze())
	require.NoError(t, p.Thaw())
	require.NoError(t, p.Stop())
	require.NoError(t, p.Stop())
	require.NoError(t, p.Start(t.Context()))
	require.NotEqual(t, first, pid(p))
	require.Equal(t, "script.2", p.Worker())
	p.Kill()
	require.Zero(t, p.EndedByItself())
}

func TestAProcessThatEndsIsStartedAgain(t *testing.T) {
	t.Parallel()
	p := script(t, serving)
	require.NoError(t, p.Start(t.Context()))
	p.mu.Lock()
	crash := p.current.cmd.Process
	p.mu.Unlock()
	require.NoError(t, crash.Kill())
	testkit.Eventually(t, func() bool { return p.EndedByItself() == 1 && p.Worker() == "script.2" }, "it was not started again")
	require.NoError(t, p.await(t.Context()))
	require.NoError(t, p.Stop())
}

func TestAFrozenProcessCanBeKilled(t *testing.T) {
	t.Parallel()
	p := script(t, serving)
	require.NoError(t, p.Start(t.Context()))
	require.NoError(t, p.Freeze())
	p.Kill()
	require.Zero(t, p.EndedByItself())
}

func TestAProcessThatDoesNotServe(t *testing.T) {
	t.Parallel()
	p := script(t, `sleep 60`)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("enough"))
	defer cancel()
	require.ErrorContains(t, p.Start(ctx), "enough")

	p = script(t, serving)
	p.command = func(int) *exec.Cmd { return exec.Command("/nowhere/nexus") }
	require.ErrorContains(t, p.Start(t.Context()), "start script")
}

func TestAProcessThatStopsBadly(t *testing.T) {
	t.Parallel()
	p := script(t, `trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done`)
	require.NoError(t, p.Start(t.Context()))
	require.ErrorContains(t, p.Stop(), "exit status 3")
}

func TestPostgresIsKilledAndKeepsWhatItHad(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "nexus-chaos-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	p := &Postgres{dir: filepath.Join(dir, "postgres")}
	require.Error(t, p.Kill(t.Context()))
	require.NoError(t, p.Start(t.Context()))
	defer func() { require.NoError(t, p.Stop(t.Context())) }()
	_, err = testkit.OpenPostgres(t, p.URL(), "").Pool.Exec(t.Context(), `CREATE TABLE kept AS SELECT 1`)
	require.NoError(t, err)
	require.NoError(t, p.Kill(t.Context()))
	url := p.URL()
	require.NoError(t, p.Start(t.Context()))
	require.Equal(t, url, p.URL())
	var n int
	require.NoError(t, testkit.OpenPostgres(t, p.URL(), "").Pool.QueryRow(t.Context(), `SELECT count(*) FROM kept`).Scan(&n))
	require.Equal(t, 1, n)
}
