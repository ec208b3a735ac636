package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
)

// gateway takes jobs, refuses each first request, and knows one job no more.
func gateway(t *testing.T) *load {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/jobs/submit", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]string
		if json.NewDecoder(r.Body).Decode(&body) != nil || r.Header.Get("X-Nexus-API-Key") != operatorKey || body["job_type"] != "noop" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		key := body["idempotency_key"]
		mu.Lock()
		seen[key]++
		first := seen[key] == 1
		mu.Unlock()
		if first {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `{"detail":"Not now."}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"job_id":%q}`, key)
	})
	mux.HandleFunc("GET /api/v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		status, attempts := "succeeded", 1
		switch r.PathValue("id") {
		case "bad":
			status = "failed"
		case "again":
			attempts = 2
		case "gone":
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprintf(w, `{"status":%q,"attempt_count":%d}`, status, attempts)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &load{url: server.URL, client: server.Client(), run: "run", patience: retryRest, tally: tally{Reasons: map[string]int{}}}
}

func TestWhatFailsIsRepeatedAndCounted(t *testing.T) {
	t.Parallel()
	l := gateway(t)
	for _, key := range []string{"good", "bad", "again", "gone"} {
		require.NoError(t, l.submit(t.Context(), key))
	}
	require.NoError(t, l.collect(t.Context()))
	require.Equal(t, tally{
		Requests: 4, Failed: 4, Repeats: 4, Reasons: map[string]int{"status 503: Not now.": 4},
		Jobs: 4, Lost: 1, Unsuccessful: 1, Retried: 1,
	}, l.tally)
}

func TestWhatMustNotHappen(t *testing.T) {
	t.Parallel()
	require.NoError(t, tally{Jobs: 1, Failed: 1}.judge(false))
	require.ErrorContains(t, tally{Jobs: 1, Failed: 1}.judge(true), "1 requests failed")
	require.ErrorContains(t, tally{Jobs: 1, Lost: 1}.judge(false), "1 jobs were lost")
	require.ErrorContains(t, tally{Jobs: 1, Unsuccessful: 1}.judge(false), "1 did not succeed")
	require.ErrorContains(t, tally{}.judge(false), "no load")
}

func TestAStrangerSaysWhatItReaches(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	open := l.Addr().String()
	shut, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, shut.Close())
	var said bytes.Buffer
	require.NoError(t, probe(t.Context(), []string{shut.Addr().String(), open}, &said))
	require.NoError(t, l.Close())
	require.Equal(t, open+"\n", said.String())
}

func TestAnImageIsWhatTheDockerfileMakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, path := filepath.Join(dir, "program"), filepath.Join(dir, "image.tar")
	require.NoError(t, os.WriteFile(program, []byte("#!"), 0o600))
	require.NoError(t, archive(path, "nexus:v1", program, "/usr/bin/nexus", filepath.Join("..", "..", "examples", "corpus")))
	image, err := tarball.ImageFromPath(path, nil)
	require.NoError(t, err)
	file, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, []string{"/usr/bin/nexus"}, file.Config.Entrypoint)
	require.Equal(t, "65532:65532", file.Config.User)
	require.ErrorContains(t, archive(path, "not a name", program, "/x", ""), "name an image")
	require.Error(t, archive(path, "nexus:v1", filepath.Join(dir, "nothing"), "/x", ""))
}

func TestWithoutAClusterItSaysSo(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--kubectl", ""}, &said))
	require.Contains(t, said.String(), "there is no cluster. Set CLUSTER_KUBECTL")
	require.ErrorContains(t, run(t.Context(), []string{"--kubectl", "kubectl"}, &said), "CLUSTER_IMPORT is not set")
	require.ErrorContains(t, run(t.Context(), []string{"fly"}, &said), "want nothing")
}
