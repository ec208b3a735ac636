package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// workerOf runs handler for analyze jobs as a process on another machine would: with
// the key of the service and nothing but NATS.
func workerOf(t *testing.T, p platform, handler worker.Handler) {
	t.Helper()
	keys, err := embednats.LoadKeys(filepath.Join(p.data, "keys"), false, "plugins")
	require.NoError(t, err)
	key, err := keys.User("plugins")
	require.NoError(t, err)
	nc, err := nats.Connect(p.nats, key.Option(), nats.CustomInboxPrefix(contract.InboxPrefix("plugins")))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := bus.JetStream(nc)
	require.NoError(t, err)
	w, err := worker.New(worker.Config{Name: "far-away", Queue: contract.QueuePlugins, Concurrency: 4, Lease: 30 * time.Second, Grace: 5 * time.Second},
		worker.Deps{NC: nc, JS: js, Log: zerolog.New(zerolog.NewTestWriter(t)), Tracer: noop.NewTracerProvider()}, map[string]worker.Handler{contract.JobAnalyze: handler})
	require.NoError(t, err)
	testkit.Start(t, w)
}

// quoted is a JSON string of n bytes that shows a part which is missing or out of
// place, and holds what encoders change.
func quoted(n int) json.RawMessage {
	var b bytes.Buffer
	b.WriteString(`"<&> ü `)
	for i := 0; b.Len() < n-1; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	b.Truncate(n - 1)
	b.WriteByte('"')
	return b.Bytes()
}

// same compares texts that are too long to be printed.
func same(a, b string) bool { return a == b }

// What a job makes is read back whole, however it runs and whatever the size.
func TestOutputsAreReadBackWhole(t *testing.T) {
	t.Parallel()
	for name, start := range forms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "NEXUS_WORKERS_APART=true", "NEXUS_JOB_OUTPUT_MAX_BYTES=20971520")
			workerOf(t, p, func(_ context.Context, job worker.Job) (worker.Result, error) {
				var asked struct {
					Layers []string `json:"layers"`
				}
				if err := json.Unmarshal(job.Payload, &asked); err != nil {
					return worker.Result{}, err
				}
				var result, artifact int
				if _, err := fmt.Sscanf(asked.Layers[0], "%d-%d", &result, &artifact); err != nil {
					return worker.Result{}, err
				}
				return worker.Result{Value: quoted(result), Artifacts: []contract.Artifact{{Type: "a", Payload: json.RawMessage("1")}, {Type: "b", Payload: quoted(artifact)}}}, nil
			})
			c := client{t, p.http, operatorKey}
			for _, tc := range []struct {
				result, artifact int
				sync, whole      bool
			}{
				{contract.MaxInlineResult, contract.MaxInlineResult - 1, true, true},
				{contract.MaxInlineResult + 1, 40, false, true},
				{1<<20 + 1, 2 << 20, true, true},
				{9 << 20, 3 << 20, true, false},
			} {
				mode := map[bool]string{true: "sync", false: "async"}[tc.sync]
				id, status := c.submit(map[string]any{"job_type": "analyze", "execution_mode": mode, "payload": map[string]any{
					"document_id": uuid.NewString(), "layers": []string{fmt.Sprintf("%d-%d", tc.result, tc.artifact)},
				}})
				if tc.sync {
					require.Equal(t, "succeeded", status)
				}
				job := c.finished(id)
				require.Equal(t, "succeeded", job["status"], "%v", job["error_text"])
				var want string
				require.NoError(t, json.Unmarshal(quoted(tc.result), &want))
				if tc.whole {
					require.True(t, same(want, job["result"].(string)), "the result is another one")
					require.NotContains(t, job, "result_ref")
				} else {
					require.Nil(t, job["result"])
					require.Equal(t, "/api/v1/jobs/"+id+"/result", job["result_ref"])
					require.EqualValues(t, tc.result, job["result_bytes"])
				}
				for path, want := range map[string]json.RawMessage{"result": quoted(tc.result), "artifacts/1": json.RawMessage("1"), "artifacts/2": quoted(tc.artifact)} {
					code, got := c.text(http.MethodGet, "/api/v1/jobs/"+id+"/"+path, "", nil)
					require.Equal(t, http.StatusOK, code)
					require.True(t, same(string(want), got), "%s of %d bytes is another one of %d", path, len(want), len(got))
				}
				code, problem, _ := c.call(http.MethodGet, "/api/v1/jobs/"+id+"/artifacts/3", nil)
				require.Equal(t, http.StatusNotFound, code, "%v", problem)
			}
			id, status := c.submit(map[string]any{"job_type": "analyze", "execution_mode": "sync", "payload": map[string]any{
				"document_id": uuid.NewString(), "layers": []string{fmt.Sprintf("%d-%d", 20<<20, 40)},
			}})
			require.Equal(t, "failed", status)
			require.Equal(t, "The result and the artifacts of the job have 20971561 bytes; the limit is 20971520.", c.get("/api/v1/jobs/" + id)["error_text"])
			_, list := c.text(http.MethodGet, "/api/v1/jobs", "", nil)
			require.NotContains(t, list, "<&>", "lists hold no results")
		})
	}
}
