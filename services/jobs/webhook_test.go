package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// Every event of a job with a hook says that there is one, and none says where it
// leads; that is asked for, as long as the job is there.
func TestEventsSayThatAJobHasAWebhook(t *testing.T) {
	t.Parallel()
	h := start(t)
	events := make(chan contract.Event, 1000)
	sub, err := h.nc.Subscribe(contract.PatternJobEvents, func(m *nats.Msg) {
		pack, err := contract.DecodeEvents(m.Data)
		if err != nil {
			return
		}
		for _, e := range pack {
			events <- e
		}
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	var runs atomic.Int64
	h.work("w", func(context.Context, worker.Job) (worker.Result, error) {
		if runs.Add(1) == 1 {
			return worker.Result{}, worker.Permanent(errors.New("no"))
		}
		return worker.Result{}, nil
	})
	hook := &contract.JobWebhook{URL: "https://example.com/s3cret", Events: []string{"job.failed"}}
	hooked := submission(contract.JobAnalyze)
	hooked.Webhook = hook
	require.Empty(t, h.submit(hooked).Code)
	h.reaches(hooked.JobID, contract.StatusFailed)
	call[contract.Job](h, contract.RPCJobsRetry, contract.JobRequest{JobID: hooked.JobID, Actor: "ann"})
	h.reaches(hooked.JobID, contract.StatusSucceeded)
	plain := submission(contract.JobAnalyze)
	require.Empty(t, h.submit(plain).Code)
	h.reaches(plain.JobID, contract.StatusSucceeded)

	var seen []string
	for ended := false; !ended || len(seen) < 6; {
		e := testkit.Receive(t, events)
		require.NotContains(t, string(e.Data), "s3cret")
		var change contract.JobChange
		require.NoError(t, json.Unmarshal(e.Data, &change))
		require.Equal(t, change.JobID == hooked.JobID, change.Webhook, "%s", e.Data)
		if change.JobID == hooked.JobID {
			seen = append(seen, string(change.Status))
		} else if change.Status == contract.StatusSucceeded {
			ended = true
		}
	}
	require.ElementsMatch(t, []string{"queued", "running", "failed", "queued", "running", "succeeded"}, seen)

	reply := call[contract.JobWebhooksReply](h, contract.RPCJobsWebhooks, contract.JobWebhooksRequest{JobIDs: []string{hooked.JobID, plain.JobID, uuid.NewString()}})
	require.Equal(t, map[string]contract.JobWebhook{hooked.JobID: *hook}, reply.Webhooks)
	for _, bad := range [][]string{{"x"}, make([]string, contract.MaxJobWebhooks+1)} {
		_, err := bus.Call[contract.JobWebhooksReply](t.Context(), h.nc, contract.RPCJobsWebhooks, contract.JobWebhooksRequest{JobIDs: bad})
		require.Equal(t, fault.Unprocessable, fault.KindOf(err))
	}
}

func TestWebhookIsPartOfARequest(t *testing.T) {
	t.Parallel()
	h := start(t)
	one := submission(contract.JobAnalyze)
	one.IdempotencyKey, one.Webhook = "k", &contract.JobWebhook{URL: "https://example.com/1"}
	require.Empty(t, h.submit(one).Code)
	again := h.submit(one)
	require.True(t, again.Existing)
	require.Empty(t, again.Code)
	other := one
	other.Webhook = &contract.JobWebhook{URL: "https://example.com/2"}
	require.Equal(t, contract.CodeConflict, h.submit(other).Code)
	other.Webhook = nil
	require.Equal(t, contract.CodeConflict, h.submit(other).Code)
	for i, bad := range []contract.JobWebhook{{}, {URL: "ftp://example.com"}, {URL: "https://example.com", Events: []string{"job.accepted"}}} {
		s := submission(contract.JobAnalyze)
		s.Ref, s.Webhook = fmt.Sprint(i), &bad
		require.Equal(t, contract.CodeInvalid, h.submit(s).Code, bad)
	}
}
