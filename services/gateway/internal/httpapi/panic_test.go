package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/token"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/await"
	"nexus.internal/services/gateway/internal/decision"
	"nexus.internal/services/gateway/internal/httpapi"
	"nexus.internal/services/gateway/internal/limit"
	"nexus.internal/services/gateway/internal/quota"
)

// broken is a submitter with a bug.
type broken struct{}

func (broken) Submit(context.Context, contract.Submission) (contract.SubmitVerdict, error) {
	panic("index out of range in a secret place")
}

func (broken) SubmitBatch(context.Context, []contract.Submission) ([]contract.SubmitVerdict, error) {
	panic("index out of range in a secret place")
}

// A bug in one request must not end the process, nor tell its cause.
func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	services := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "others")
	bus.Handle(services, contract.RPCAuthVerify, func(context.Context, contract.VerifyRequest) (contract.VerifyReply, error) {
		return contract.VerifyReply{KeyID: "1", Owner: "ann", Role: "admin"}, nil
	})
	bus.Handle(services, contract.RPCJobsTypes, func(context.Context, struct{}) (contract.JobTypesReply, error) {
		return contract.JobTypesReply{JobTypes: []contract.JobType{{Name: contract.JobAnalyze, MaxAttempts: 3, Enabled: true}}}, nil
	})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	log := &lines{}
	tokens, err := token.NewVerifier(token.Settings{Algorithm: token.HS256, Secret: token.DevSecret, ExpiryMinutes: 15, LifetimeHours: 12}, time.Now)
	require.NoError(t, err)
	buckets := limit.New(nc, "one", zerolog.Nop(), time.Now)
	testkit.Start(t, services, httpapi.New(httpapi.Options{ReadSilence: time.Minute, ReadWhole: time.Minute, SyncWait: time.Second, MaxBody: 1 << 20, Version: "1"}, httpapi.Deps{
		NC: nc, Listener: listener, Admission: admission.New(nc, tokens, admission.Options{AsyncEnabled: true}, zerolog.Nop(), time.Now), Submitter: broken{},
		Watcher: await.New(nc, nil, zerolog.Nop()), Decisions: decision.New(bus.NewPublisher(testkit.JetStream(t, nc), "gateway", time.Now), zerolog.Nop(), time.Now),
		Limits: quota.New(buckets, nil), Buckets: buckets, Log: zerolog.New(log),
		Tracer: noop.NewTracerProvider(), Now: time.Now,
	}))
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listener.Addr().String()+"/api/v1/jobs/submit", strings.NewReader(`{"job_type":"analyze"}`))
		require.NoError(t, err)
		req.Header.Set("X-Nexus-API-Key", "key")
		req.Header.Set("X-Request-ID", "panic-1")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
		var p httpapi.Problem
		require.NoError(t, json.Unmarshal(body, &p))
		require.Equal(t, "internal", p.Code)
		require.Equal(t, "panic-1", p.RequestID)
		require.NotContains(t, string(body), "secret place")
	}
	require.Contains(t, log.String(), "secret place")
}

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
