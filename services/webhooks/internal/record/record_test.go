package record_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/webhooks/internal/hook"
	"nexus.internal/services/webhooks/internal/record"
)

// world is everything around a recorder, played by the test. The broker is real.
type world struct {
	mu sync.Mutex
	// subs hear of everything; hooks are those of single jobs.
	subs  []hook.Subscription
	hooks map[string]contract.JobWebhook
	// storeErr and hooksErr are the next errors.
	storeErr, hooksErr []error
	added              chan hook.Draft
	stored, asked      int
}

func (w *world) Fresh(context.Context) bool { return true }

func (w *world) Any(string, string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.subs) > 0
}

func (w *world) Of(string, string, string, time.Time) []hook.Subscription {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.subs
}

type hooks struct{ *world }

func (h hooks) Of(_ context.Context, jobs []string) (map[string]contract.JobWebhook, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked += len(jobs)
	if len(h.hooksErr) > 0 {
		err := h.hooksErr[0]
		h.hooksErr = h.hooksErr[1:]
		return nil, err
	}
	return h.hooks, nil
}

func (w *world) Add(_ context.Context, drafts []hook.Draft, _ func() (string, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored++
	if len(w.storeErr) > 0 {
		err := w.storeErr[0]
		w.storeErr = w.storeErr[1:]
		return err
	}
	for _, d := range drafts {
		w.added <- d
	}
	return nil
}

func start(t *testing.T, w *world) (jetstream.JetStream, *atomic.Int64) {
	t.Helper()
	js := testkit.JetStream(t, testkit.NATS(t))
	w.added = make(chan hook.Draft, 1000)
	woken := &atomic.Int64{}
	testkit.Start(t, record.New(js, w, hooks{w}, w, func() { woken.Add(1) }, zerolog.Nop(), noop.NewTracerProvider().Tracer("")))
	return js, woken
}

func publish(t *testing.T, js jetstream.JetStream, jobID string, hooked bool) {
	t.Helper()
	data, err := json.Marshal(contract.JobChange{JobID: jobID, JobType: contract.JobNoop, Status: contract.StatusFailed, CreatedBy: "ann", Webhook: hooked})
	require.NoError(t, err)
	body, err := contract.EncodeEvents([]contract.Event{{ID: jobID + "/3", Type: "nexus.job.failed.v1", Time: time.Now(), Source: "nexus.jobs", Data: data}})
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: "nexus.events.job.failed.noop", Data: body})
	require.NoError(t, err)
}

func quiet(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		cons, err := js.Consumer(t.Context(), contract.StreamEvents, contract.ConsumerWebhooks)
		if err != nil {
			return false
		}
		i := cons.CachedInfo()
		return i.NumPending+uint64(i.NumAckPending) == 0
	}, "events are not settled")
}

// What nobody wants costs no statement and no question.
func TestWhatNobodyWantsIsPassedOver(t *testing.T) {
	t.Parallel()
	w := &world{}
	js, woken := start(t, w)
	for range 200 {
		publish(t, js, uuid.NewString(), false)
	}
	_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "nexus.events.job.stale_lease_recovery.noop", Data: []byte("no pack")})
	require.NoError(t, err)
	quiet(t, js)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Zero(t, w.stored)
	require.Zero(t, w.asked)
	require.Zero(t, woken.Load())
}

// What cannot be written, or asked for, comes again.
func TestTroublePasses(t *testing.T) {
	t.Parallel()
	jobID := uuid.NewString()
	w := &world{
		subs: []hook.Subscription{{ID: uuid.New(), Owner: "ann", URL: "https://Example.com:8443/x"}}, hooks: map[string]contract.JobWebhook{jobID: {URL: "https://example.org"}},
		hooksErr: []error{errors.New("the jobs service is away")}, storeErr: []error{errors.New("the database is away")},
	}
	js, _ := start(t, w)
	publish(t, js, jobID, true)
	first, second := testkit.Receive(t, w.added), testkit.Receive(t, w.added)
	require.Equal(t, w.subs[0].ID, *first.Subscription)
	require.Equal(t, "example.com:8443", first.Host)
	require.Empty(t, first.URL)
	require.Nil(t, second.Subscription)
	require.Equal(t, "https://example.org", second.URL)
	require.Equal(t, "ann", second.Owner)
	require.Equal(t, jobID+"/3", second.EventID)
	require.Equal(t, "job.failed", second.Event)
	require.Equal(t, first.Body, second.Body)
	quiet(t, js)
	require.Empty(t, w.added)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(t, 3, w.asked)
	require.Equal(t, 2, w.stored)
}
