package e2e_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Nothing vanishes: the process is killed in the middle of 1,000 jobs, with its
// own Postgres and NATS, and the next start finishes every job it accepted.
func TestGuaranteeKillInTheMiddleLosesNothing(t *testing.T) {
	t.Parallel()
	const jobs = 1000
	dir := dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_BENCH_JOBS_ENABLED=true", "NEXUS_WORKER_LEASE_SECONDS=3")
	first := launch(t, t.TempDir(), env, "up")

	var accepted sync.Map
	var count atomic.Int64
	var wg sync.WaitGroup
	half := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for count.Load() < jobs {
				id, ok := trySubmit(t, first.http)
				if !ok {
					return
				}
				accepted.Store(id, true)
				if count.Add(1) == jobs/2 {
					close(half)
				}
			}
		})
	}
	select {
	case <-half:
	case <-time.After(patience):
		require.FailNow(t, "the jobs were not accepted in time", first.log())
	}
	first.kill()
	wg.Wait()

	second := launch(t, t.TempDir(), env, "up")
	c := client{t, second.http, operatorKey}
	for range jobs - int(count.Load()) {
		id, ok := trySubmit(t, second.http)
		require.True(t, ok)
		accepted.Store(id, true)
	}
	finished := 0
	accepted.Range(func(id, _ any) bool {
		require.Equal(t, "succeeded", c.finished(id.(string))["status"])
		finished++
		return true
	})
	require.GreaterOrEqual(t, finished, jobs)
	second.stop()
}

// trySubmit submits a job to a process that may be dying.
func trySubmit(t testing.TB, base string) (id string, ok bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/v1/jobs/submit", jsonBody(`{"job_type":"noop"}`))
	if err != nil {
		return "", false
	}
	req.Header.Set("X-Nexus-API-Key", operatorKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer func() { _ = resp.Body.Close() }()
	return decodeJobID(resp)
}

// The data of one start is found by the next, after an orderly stop.
func TestStopAndStartAgain(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_CORPUS_ROOT="+corpusRoot(t))
	p := launch(t, t.TempDir(), env, "up")
	id, status := client{t, p.http, operatorKey}.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "sync"})
	require.Equal(t, "succeeded", status)
	p.stop()
	p = launch(t, t.TempDir(), env, "up")
	require.Equal(t, "succeeded", client{t, p.http, viewerKey}.get("/api/v1/jobs/" + id)["status"])
	p.stop()
}
