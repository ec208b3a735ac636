package e2e_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// value is that of a setting.
func value(t testing.TB, env []string, name string) string {
	t.Helper()
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	require.Fail(t, name+" is not set")
	return ""
}

// holdHandlers makes the handlers of integrity audits wait until release, by a
// lock on what they read.
func holdHandlers(t testing.TB, env []string) (release func()) {
	t.Helper()
	db := testkit.OpenPostgres(t, value(t, env, "NEXUS_DATABASE_URL"), "")
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	released := false
	release = func() {
		if !released {
			released = true
			require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context())))
		}
	}
	t.Cleanup(release)
	_, err = tx.Exec(t.Context(), `LOCK TABLE corpus.documents IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	return release
}

// audits submits an integrity audit for each lane.
func (c client) audits() (ids []string) {
	c.t.Helper()
	for _, lane := range []string{"high", "normal", "low"} {
		id, _ := c.submit(map[string]any{"job_type": "integrity_audit", "priority": lane})
		ids = append(ids, id)
	}
	return ids
}

func (c client) reach(ids []string, status string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.count(ids, status) == len(ids) }, patience, 20*time.Millisecond, "the jobs did not become %s", status)
}

// terminate tells a process to end and waits until it has begun to.
func (p *process) terminate() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(p.t, func() bool { return strings.Contains(p.log(), `"message":"stopping"`) }, patience, 10*time.Millisecond, "it does not stop")
}

// ended requires that the process ends by itself, with exit code 0.
func (p *process) ended() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		require.FailNow(p.t, "nexus did not end", p.log())
	}
	require.Zero(p.t, p.cmd.ProcessState.ExitCode(), "%s", tail(p.log(), 3000))
}

// A worker that is told to end runs what it has begun to its end, whatever the
// lane, and begins nothing more.
func TestStoppedWorkerEndsWhatItRuns(t *testing.T) {
	t.Parallel()
	c, env := apart(t)
	release := holdHandlers(t, env)
	running := c.audits()
	w := launch(t, t.TempDir(), env, "worker", "--queues", "corpus", "--concurrency", "3", "--max-jobs", "50")
	c.reach(running, "running")
	waiting := c.audits()
	w.terminate()
	require.Equal(t, 3, c.count(running, "running"), "what runs may go on")
	release()
	w.ended()
	require.Equal(t, "processed 3 job(s)\n", w.printed())
	for _, id := range running {
		job := c.get("/api/v1/jobs/" + id)
		require.Equal(t, []any{"succeeded", 1.0}, []any{job["status"], job["attempt_count"]})
	}
	for _, id := range waiting {
		job := c.get("/api/v1/jobs/" + id)
		require.Equal(t, []any{"queued", 0.0, nil}, []any{job["status"], job["attempt_count"], job["lease_owner"]})
	}
	require.Equal(t, "processed 3 job(s)\n", workUntilDone(t, env, "--queues", "corpus", "--max-jobs", "3"), "the next worker has the rest")
	c.reach(waiting, "succeeded")
}

// What does not end in time is given back, at no cost to its attempts.
func TestStoppedWorkerGivesBackWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	c, env := apart(t)
	release := holdHandlers(t, env)
	running := c.audits()
	w := launch(t, t.TempDir(), append(env, "NEXUS_WORKER_GRACE_SECONDS=1"), "worker", "--queues", "corpus", "--concurrency", "3", "--max-jobs", "50")
	c.reach(running, "running")
	w.terminate()
	w.ended()
	for _, id := range running {
		job := c.get("/api/v1/jobs/" + id)
		require.Equal(t, []any{"retry_wait", 0.0, nil, nil}, []any{job["status"], job["attempt_count"], job["lease_owner"], job["error_text"]})
		require.Empty(t, job["attempts"])
	}
	release()
	require.Equal(t, "processed 3 job(s)\n", workUntilDone(t, env, "--queues", "corpus", "--max-jobs", "3"))
	for _, id := range running {
		job := c.get("/api/v1/jobs/" + id)
		require.Equal(t, []any{"succeeded", 1.0}, []any{job["status"], job["attempt_count"]})
		require.Len(t, job["attempts"], 1)
	}
	require.Equal(t, "processed 0 job(s)\n", w.printed(), "what was given back was not processed")
}
