package load_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/checker"
	"nexus.internal/chaos/internal/history"
	"nexus.internal/chaos/internal/load"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// api is a REST API that forgets nothing and refuses now and then.
type api struct {
	mu    sync.Mutex
	calls int
	// refuse decides what a call is answered instead; 0 answers it.
	refuse func(call int, r *http.Request) int
	jobs   map[string]string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	if status := a.refuse(a.calls, r); status != 0 {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"status":503,"code":"unavailable","detail":"not now"}`))
		return
	}
	status := contract.StatusSucceeded
	if r.URL.Path == "/api/v1/jobs/submit" {
		var body struct {
			Key string `json:"idempotency_key"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		a.jobs[body.Key] = "job-" + body.Key
		_ = json.NewEncoder(w).Encode(map[string]any{"job_id": a.jobs[body.Key], "status": contract.StatusQueued})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"job_id": "x", "status": status})
}

type nobody struct{}

func (nobody) Recorded(string) string { return "" }

// play lets clients work for a moment and returns their history.
func play(t *testing.T, seed uint64, patience time.Duration, refuse func(call int, r *http.Request) int) (*load.Load, []history.Record) {
	t.Helper()
	server := httptest.NewServer(&api{jobs: map[string]string{}, refuse: refuse})
	t.Cleanup(server.Close)
	broker := testkit.NATSServer(t)
	path := filepath.Join(t.TempDir(), "history.jsonl")
	file, err := history.Create(path)
	require.NoError(t, err)
	l, err := load.New(load.Options{
		Name: "test", Seed: seed, PerSecond: 500, URL: server.URL, NATSURL: broker.ClientURL(), Key: "key", Owner: "owner", Events: nobody{}, File: file,
	})
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	going, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	l.Run(ctx, going)
	require.NoError(t, file.Close())
	records, err := history.ReadFile(path)
	require.NoError(t, err)
	js := testkit.JetStream(t, testkit.Connect(t, broker))
	stream, err := js.Stream(t.Context(), contract.StreamSubmit)
	require.NoError(t, err)
	requireReceipts(t, stream, records)
	return l, records
}

// requireReceipts requires that the broker has what it gave receipts for.
func requireReceipts(t *testing.T, stream jetstream.Stream, records []history.Record) {
	t.Helper()
	receipts := uint64(0)
	for _, r := range records {
		if r.Receipt != nil {
			receipts++
		}
	}
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, receipts, info.State.Msgs)
}

func submits(records []history.Record) map[string][]history.Submit {
	out := map[string][]history.Submit{}
	for _, r := range records {
		if r.Submit != nil {
			out[r.Submit.Key] = append(out[r.Submit.Key], *r.Submit)
		}
	}
	return out
}

func TestClientsTryAgainUntilTheyAreAnswered(t *testing.T) {
	t.Parallel()
	l, records := play(t, 1, time.Minute, func(call int, _ *http.Request) int {
		if call%3 == 0 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	require.Positive(t, l.Started())
	require.Len(t, l.Promised(), l.Started())
	again := 0
	for key, tries := range submits(records) {
		require.Equal(t, http.StatusOK, tries[len(tries)-1].Status, key)
		require.Equal(t, "job-"+key, tries[len(tries)-1].JobID)
		if len(tries) > 1 {
			again++
			require.Equal(t, "1", tries[0].RetryAfter)
			require.Equal(t, "unavailable", tries[0].Code)
		}
	}
	require.Positive(t, again)
	reads, cancels, receipts := 0, 0, 0
	for _, r := range records {
		switch {
		case r.Read != nil:
			reads++
		case r.Cancel != nil:
			cancels++
		case r.Receipt != nil:
			receipts++
		case r.GaveUp != nil:
			require.Fail(t, "a client gave up")
		}
	}
	require.Positive(t, reads)
	require.Positive(t, cancels)
	require.Positive(t, receipts)
}

func TestAClientThatIsNeverAnsweredGivesUp(t *testing.T) {
	t.Parallel()
	_, records := play(t, 2, 2*time.Second, func(int, *http.Request) int { return http.StatusServiceUnavailable })
	gaveUp := map[checker.Rule]bool{}
	for _, v := range checker.Check(records).Violations {
		gaveUp[v.Rule] = true
	}
	require.Contains(t, gaveUp, checker.RuleAnswered)
}

func TestASeedAsksForTheSame(t *testing.T) {
	t.Parallel()
	never := func(int, *http.Request) int { return 0 }
	_, first := play(t, 7, time.Minute, never)
	_, second := play(t, 7, time.Minute, never)
	_, other := play(t, 8, time.Minute, never)
	a, b, c := submits(first), submits(second), submits(other)
	for key, tries := range a {
		// One of the two may have got further.
		if again, ok := b[key]; ok {
			require.Equal(t, tries[0].JobType, again[0].JobType)
		}
		require.NotContains(t, c, key)
	}
}

func TestNoDoorNoLoad(t *testing.T) {
	t.Parallel()
	_, err := load.New(load.Options{NATSURL: "nats://127.0.0.1:1"})
	require.ErrorContains(t, err, "NATS door")
}
