package e2e_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// A service that jobs need is killed, and then frozen: the jobs wait and say so, and
// when it is back they are done, with all their attempts before them.
func TestGuaranteeAnOutageOfAServiceBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	server := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dir), "nats")
	env := append(freePorts(), "NEXUS_NATS_URL="+server.nats, "NEXUS_NATS_KEYS_DIR="+dir+"/keys", "NEXUS_DATA_DIR="+dir,
		"NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpusRoot(t), "NEXUS_PLUGIN_WORKER_CONCURRENCY=5")
	processes := map[string]*process{}
	for _, service := range []string{"auth", "audit", "jobs", "corpus", "plugins", "gateway"} {
		processes[service] = launch(t, t.TempDir(), env, service)
	}
	c := client{t, processes["gateway"].http, operatorKey}
	_, status := c.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "sync"})
	require.Equal(t, "succeeded", status)
	document := c.get("/api/v1/documents?limit=1")["documents"].([]any)[0].(map[string]any)["id"]
	analyze := func() (ids []string) {
		for range 5 {
			id, _ := c.submit(map[string]any{"job_type": "analyze", "max_attempts": 1, "payload": map[string]any{"document_id": document}})
			ids = append(ids, id)
		}
		return ids
	}
	putOff := func(ids []string, times float64) {
		t.Helper()
		for _, id := range ids {
			require.Eventually(t, func() bool { return c.get("/api/v1/jobs/" + id)["defer_count"].(float64) >= times }, patience, 50*time.Millisecond, "job %s was not put off", id)
			job := c.get("/api/v1/jobs/" + id)
			require.NotEqual(t, "failed", job["status"])
			require.Equal(t, "A service that is needed for this does not answer now.", job["error_text"])
			require.NotNil(t, job["deferred_since"])
			for _, a := range job["attempts"].([]any) {
				require.Equal(t, "running", a.(map[string]any)["status"], "an attempt was counted")
			}
		}
	}
	db := testkit.OpenPostgres(t, database, "")
	done := func(ids []string) {
		t.Helper()
		// The waits may have grown long on a busy machine.
		_, err := db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET next_run_at = clock_timestamp() WHERE status = 'retry_wait'`)
		require.NoError(t, err)
		for _, id := range ids {
			job := c.finished(id)
			require.Equal(t, []any{"succeeded", 1.0, nil}, []any{job["status"], job["attempt_count"], job["error_text"]})
			require.Len(t, job["attempts"], 1)
		}
	}

	processes["corpus"].kill()
	jobs := analyze()
	putOff(jobs, 2)
	processes["corpus"] = launch(t, t.TempDir(), env, "corpus")
	done(jobs)

	require.NoError(t, processes["corpus"].cmd.Process.Signal(syscall.SIGSTOP))
	jobs = analyze()
	putOff(jobs, 1)
	require.NoError(t, processes["corpus"].cmd.Process.Signal(syscall.SIGCONT))
	done(jobs)
}
