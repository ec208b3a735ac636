package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

// Fiber reads requests into memory that it uses again for the next one. What is
// kept of a request, such as the attributes of its span, must be a copy: this
// fails when the server is not told to make copies.
func TestConcurrentRequestsNeverMix(t *testing.T) {
	t.Parallel()
	const callers, rounds = 50, 6
	spans := tracetest.NewSpanRecorder()
	w, g := start(t, func(_ *gateway.Config, d *gateway.Deps) {
		d.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	})
	events := w.events(contract.AreaAuth)
	clients := make([]client, callers)
	for i := range clients {
		// Every third may not submit.
		role := []string{"operator", "admin", "viewer"}[i%3]
		w.caller(contract.VerifyReply{Owner: callerName(i), Role: role})
		clients[i] = g.as(callerName(i))
	}
	for round := range rounds {
		var wg sync.WaitGroup
		results := make(chan error, callers)
		for i, c := range clients {
			wg.Go(func() { results <- visit(c, i, round) })
		}
		wg.Wait()
		for range callers {
			require.NoError(t, <-results)
		}
		w.clock.advance(5 * time.Second) // so that the next round asks auth again
	}
	asked, submittedBy, denied := askedAbout(t, w), recordedBy(w), deniedTo(t, events, rounds*(callers/3))
	traced := map[string]int{}
	for _, s := range spans.Ended() {
		for _, a := range s.Attributes() {
			if a.Key == "nexus.request_id" {
				traced[a.Value.AsString()]++
			}
		}
	}
	for round := range rounds {
		for i := range callers {
			require.Equal(t, 1, traced[mark(i, round, "who")], "the span of %s", mark(i, round, "who"))
			require.Equal(t, 1, traced[mark(i, round, "job")], "the span of %s", mark(i, round, "job"))
			if i%3 == 2 {
				continue
			}
			require.Equal(t, callerName(i)+" "+mark(i, round, "key"), submittedBy[mark(i, round, "job")])
		}
	}
	for i := range callers {
		require.Equal(t, rounds, asked[identity.HashKey(keyOf(callerName(i)))], "auth is asked about each key once a round")
		if i%3 == 2 {
			require.Equal(t, rounds, denied[callerName(i)])
		}
	}
	require.Len(t, asked, callers, "and about no other")
	require.Len(t, denied, callers/3)
}

func callerName(i int) string { return fmt.Sprintf("caller-%02d", i) }

// mark names one request. All are of one length, as a recycled buffer likes it.
func mark(i, round int, what string) string {
	return fmt.Sprintf("request-%02d-%02d-%s", i, round, what)
}

// visit asks who the caller is and submits a job, and checks the answers.
func visit(c client, i, round int) error {
	who := c.try(http.MethodGet, "/api/v1/auth/whoami", "", requestID, mark(i, round, "who"))
	var me struct {
		Owner string `json:"owner"`
	}
	if who.err != nil || json.Unmarshal(who.body, &me) != nil || me.Owner != callerName(i) || who.header.Get(requestID) != mark(i, round, "who") {
		return fmt.Errorf("%s is told: %d %s (%w)", mark(i, round, "who"), who.status, who.body, who.err)
	}
	job := c.try(http.MethodPost, submitURL, `{"job_type":"analyze","idempotency_key":"`+mark(i, round, "key")+`"}`, requestID, mark(i, round, "job"))
	want := http.StatusOK
	if i%3 == 2 {
		want = http.StatusForbidden
	}
	if job.err != nil || job.status != want || job.header.Get(requestID) != mark(i, round, "job") {
		return fmt.Errorf("%s is told: %d %s (%w)", mark(i, round, "job"), job.status, job.body, job.err)
	}
	return nil
}

// askedAbout counts how often auth was asked about each key, by its hash.
func askedAbout(t testing.TB, w *world) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, data := range w.requests(contract.RPCAuthVerify) {
		var req contract.VerifyRequest
		require.NoError(t, json.Unmarshal(data, &req))
		out[req.KeyHash]++
	}
	return out
}

// recordedBy are the owners and keys of the jobs that were recorded, by request.
func recordedBy(w *world) map[string]string {
	out := map[string]string{}
	for len(w.recorded) > 0 {
		s := <-w.recorded
		out[s.RequestID] = s.CreatedBy + " " + s.IdempotencyKey
	}
	return out
}

// deniedTo counts the refusals told, by owner, until there are n of them.
func deniedTo(t testing.TB, events <-chan contract.Event, n int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for n > 0 {
		e := testkit.Receive(t, events)
		if e.Type != contract.EventType(contract.AreaAuth, contract.WhatAuthDenied) {
			continue
		}
		var d contract.AuthDecision
		require.NoError(t, json.Unmarshal(e.Data, &d))
		out[e.Actor] += max(1, d.Count)
		n -= max(1, d.Count)
	}
	return out
}
