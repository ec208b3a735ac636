package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// hook is one post that a receiver got.
type hook struct{ path, event, id string }

// listen is somebody outside who hears of events.
func listen(t testing.TB) (url string, got <-chan hook) {
	t.Helper()
	posts := make(chan hook, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var e contract.Event
		if err == nil && json.Unmarshal(body, &e) == nil && e.ID == r.Header.Get("Nexus-Event-Id") {
			posts <- hook{r.URL.Path, r.Header.Get("Nexus-Event"), e.ID}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, posts
}

// collect waits for so many posts and tells how often each kind came to each path.
func collect(t testing.TB, got <-chan hook, n int) map[string]int {
	t.Helper()
	out := map[string]int{}
	timeout := time.After(patience)
	for range n {
		select {
		case h := <-got:
			out[h.path+" "+h.event]++
		case <-timeout:
			require.FailNow(t, "a post did not come", "%v", out)
		}
	}
	return out
}

func hooks(t *testing.T, p platform) {
	c := client{t, p.http, operatorKey}
	url, got := listen(t)
	status, made, _ := c.call(http.MethodPost, "/api/v1/webhooks", map[string]any{"url": url + "/all", "job_type": "integrity_audit"})
	require.Equal(t, http.StatusCreated, status, "%v", made)
	require.NotEmpty(t, made["secret"])
	one := "/api/v1/webhooks/" + made["webhook_id"].(string)
	require.NotContains(t, c.get(one), "secret")
	// Where the webhooks run elsewhere too, all know of it within a second; here
	// one process answered and posts.
	c.submit(map[string]any{"job_type": "integrity_audit", "execution_mode": "sync", "webhook": map[string]any{"url": url + "/job", "events": []string{"job.succeeded"}}})
	require.Equal(t, map[string]int{"/all job.queued": 1, "/all job.running": 1, "/all job.succeeded": 1, "/job job.succeeded": 1}, collect(t, got, 4))
	_, refusal := natsDoor(t, p)(t, "integrity_audit", map[string]any{"webhook": map[string]any{"url": url + "/door", "events": []string{"job.succeeded"}}})
	require.Empty(t, refusal)
	require.Equal(t, 1, collect(t, got, 4)["/door job.succeeded"])

	testkit.Eventually(t, func() bool {
		return len(c.get(one + "/deliveries?status=delivered")["deliveries"].([]any)) == 6
	}, "the deliveries are not told")
	for _, key := range []string{viewerKey, researcherKey} {
		status, _, _ := client{t, p.http, key}.call(http.MethodGet, one, nil)
		require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, status)
	}
	require.Equal(t, made["webhook_id"], client{t, p.http, adminKey}.get(one)["webhook_id"])
	status, _ = c.text(http.MethodDelete, one, "", nil)
	require.Equal(t, http.StatusNoContent, status)
	status, _, _ = c.call(http.MethodGet, one, nil)
	require.Equal(t, http.StatusNotFound, status)
}

// The process is killed while receivers are away; the next start delivers what
// waited.
func TestWebhooksSurviveAKill(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_BENCH_JOBS_ENABLED=true", privateWebhooks)
	first := launch(t, t.TempDir(), env, "up")
	healthy := make(chan struct{})
	posts := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-healthy:
			posts <- r.Header.Get("Nexus-Event-Id")
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	c := client{t, first.http, operatorKey}
	const jobs = 20
	want := map[string]bool{}
	for range jobs {
		id, _ := c.submit(map[string]any{"job_type": "noop", "webhook": map[string]any{"url": server.URL, "events": []string{"job.succeeded"}}})
		want[id+"/3"] = true
	}
	for id := range want {
		c.finished(id[:36])
	}
	first.kill()
	close(healthy)
	launch(t, t.TempDir(), env, "up")
	timeout := time.After(patience)
	for len(want) > 0 {
		select {
		case id := <-posts:
			delete(want, id)
		case <-timeout:
			require.FailNow(t, "deliveries were lost", "%v", want)
		}
	}
}
