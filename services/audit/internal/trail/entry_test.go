package trail_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/audit/internal/trail"
)

const oneTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func event(change func(*contract.Event)) contract.Event {
	e := contract.Event{
		ID: "0199-1/1", Type: contract.EventType(contract.AreaJob, "succeeded"), Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		Source: "nexus.jobs", Actor: "dev-operator", RequestID: "req-1", TraceParent: oneTrace, Data: json.RawMessage(`{"job_id":"0199-1"}`),
	}
	if change != nil {
		change(&e)
	}
	return e
}

func encode(t *testing.T, events ...contract.Event) []byte {
	t.Helper()
	body, err := contract.EncodeEvents(events)
	require.NoError(t, err)
	return body
}

func TestDecode(t *testing.T) {
	t.Parallel()
	bare := event(func(e *contract.Event) {
		e.ID, e.Actor, e.RequestID, e.TraceParent, e.Data = "0199-1/2", "", "", "not a trace", nil
		e.Type = contract.EventType(contract.AreaAuth, contract.WhatAuthDenied)
	})
	// An event without a trace is in none, whatever trace its message is in.
	ctx := telemetry.WithTraceParent(t.Context(), oneTrace)
	entries, err := trail.Decode(ctx, encode(t, event(nil), bare))
	require.NoError(t, err)
	trace, err := hex.DecodeString("0af7651916cd43dd8448eb211c80319c")
	require.NoError(t, err)
	require.Equal(t, []trail.Entry{
		{
			EventID: "0199-1/1", Action: "job_succeeded", Actor: "dev-operator", Source: "nexus.jobs", RequestID: "req-1",
			OccurredAt: event(nil).Time, TraceID: trace, TraceParent: oneTrace, Details: json.RawMessage(`{"job_id":"0199-1"}`),
		},
		{
			EventID: "0199-1/2", Action: "auth_denied", Source: "nexus.jobs", OccurredAt: bare.Time, TraceParent: "not a trace",
			Details: json.RawMessage("null"),
		},
	}, entries)
	require.Greater(t, entries[0].Size(), len(entries[0].Details))
}

func TestDecodeRefusesWholePacks(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 513)
	for name, body := range map[string][]byte{
		"nothing":             nil,
		"no JSON":             []byte("hello"),
		"an acknowledgement":  []byte(`{"stream":"NEXUS_EVENTS","seq":1}`),
		"an empty pack":       []byte(`[]`),
		"an event without id": []byte(`[{"type":"nexus.job.queued.v1","time":"2026-05-01T12:00:00Z","source":"s"}]`),
		"a long id":           encode(t, event(nil), event(func(e *contract.Event) { e.ID = long })),
		"a long type":         encode(t, event(func(e *contract.Event) { e.Type = long })),
		"a NUL in the actor":  encode(t, event(func(e *contract.Event) { e.Actor = "a\x00b" })),
		"a NUL in the id":     encode(t, event(func(e *contract.Event) { e.ID = "\x00" })),
		"broken UTF-8":        []byte(strings.Replace(string(encode(t, event(nil))), `"0199-1"`, "\"\xff\"", 1)),
	} {
		entries, err := trail.Decode(t.Context(), body)
		require.ErrorIs(t, err, trail.ErrUnfit, name)
		require.Nil(t, entries, name)
	}
	_, err := trail.Decode(t.Context(), encode(t, event(func(e *contract.Event) { e.ID = long[:512] })))
	require.NoError(t, err)
}

func TestAction(t *testing.T) {
	t.Parallel()
	for eventType, want := range map[string]string{
		"nexus.job.queued.v1":                 "job_queued",
		"nexus.job.retry_wait.v2":             "job_retry_wait",
		"nexus.job.stale_lease_recovery.v1":   "stale_lease_recovery",
		"nexus.auth.success.v1":               "auth_success",
		"nexus.auth.failure.v1":               "auth_failure",
		"nexus.auth.denied.v1":                "auth_denied",
		"nexus.webhook.created.v1":            "webhook_created",
		"nexus.governance.evaluate.v1":        "governance.evaluate",
		"nexus.other.stale_lease_recovery.v1": "other.stale_lease_recovery",
		"something else":                      "something else",
		"nexus.job.queued":                    "nexus.job.queued",
		"nexus.job.queued.1":                  "nexus.job.queued.1",
		"other.job.queued.v1":                 "other.job.queued.v1",
		"nexus..queued.v1":                    "nexus..queued.v1",
		"nexus.job..v1":                       "nexus.job..v1",
	} {
		require.Equal(t, want, trail.Action(eventType))
	}
}
