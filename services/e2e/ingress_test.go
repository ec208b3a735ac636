package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// rejections follows what is refused of an owner's messages.
func rejections(t testing.TB, nc *nats.Conn, owner string) <-chan contract.Rejection {
	t.Helper()
	ch := make(chan contract.Rejection, 100_000)
	sub, err := nc.Subscribe(contract.RejectionPattern(owner), func(m *nats.Msg) {
		events, err := contract.DecodeEvents(m.Data)
		if err != nil {
			return
		}
		for _, e := range events {
			var why contract.Rejection
			if contract.Decode(e.Data, &why) == nil {
				ch <- why
			}
		}
	})
	require.NoError(t, err)
	require.NoError(t, sub.SetPendingLimits(-1, -1))
	require.NoError(t, nc.Flush())
	return ch
}

// What a client sends ends no process, now or at its next start: it is refused at
// both doors within moments, by name of the place.
func TestHostileInputEndsNothing(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir)
	p := launch(t, t.TempDir(), env, "up")
	admin, operator := client{t, p.http, adminKey}, client{t, p.http, operatorKey}
	status, answer := admin.text(http.MethodPost, "/api/v1/job-types", `{"name":"t","queue":"bench","payload_schema":{"properties":{"n":{"minimum":0},"many":{"items":{"minimum":0}}}}}`, nil)
	require.Equal(t, http.StatusOK, status, answer)
	nc, js := natsClient(t, platform{http: p.http, nats: p.nats}, "dev-operator", operatorKey)
	refused := rejections(t, nc, "dev-operator")
	for payload, detail := range map[string]string{
		`{"n":1e-1000001}`:                                                    "body.payload.n: the exponent of the number is out of range: want -400 to 400",
		`{"n":` + strings.Repeat("9", 200_000) + `}`:                          "body.payload.n: the number has 200000 digits; the limit is 400",
		`{"many":[` + strings.Repeat("1e-1000000,", 500) + `0]}`:              "body.payload.many[0]: the exponent of the number is out of range: want -400 to 400",
		`{"n":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`: "nested deeper than",
	} {
		began := time.Now()
		status, answer := operator.text(http.MethodPost, "/api/v1/jobs/submit", `{"job_type":"t","payload":`+payload+`}`, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, answer)
		require.Contains(t, answer, detail)
		require.Less(t, len(answer), 1000)
		_, err := js.Publish(t.Context(), "nexus.submit.dev-operator.t", []byte(`{"payload":`+payload+`}`))
		require.NoError(t, err)
		why := testkit.Receive(t, refused)
		require.Equal(t, "validation_error", why.Code)
		require.Contains(t, why.Detail, detail)
		require.Less(t, time.Since(began), 10*time.Second)
	}
	for _, at := range []string{"0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"} {
		job := fmt.Sprintf(`{"job_type":"t","idempotency_key":"k","run_at":%q}`, at)
		for path, body := range map[string]string{"/api/v1/jobs/submit": job, "/api/v1/jobs/batch": `{"jobs":[` + job + `]}`} {
			status, answer := operator.text(http.MethodPost, path, body, nil)
			require.Equal(t, http.StatusUnprocessableEntity, status, answer)
		}
		_, err := js.Publish(t.Context(), "nexus.submit.dev-operator.t", []byte(job))
		require.NoError(t, err)
		require.Contains(t, testkit.Receive(t, refused).Detail, "within the years 1 to 9999")
	}
	status, answer = operator.text(http.MethodPost, "/api/v1/jobs/submit", `{"job_type":"noop","Job_Type":"integrity_audit"}`, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status, answer)
	require.Contains(t, answer, "body.Job_Type: unexpected property")
	_, err := js.Publish(t.Context(), "nexus.submit.dev-operator.a.b.c", []byte(`{}`))
	require.NoError(t, err)
	require.Contains(t, testkit.Receive(t, refused).Detail, "nexus.submit.dev-operator.a.b.c")

	p.kill()
	p = launch(t, t.TempDir(), env, "up")
	operator = client{t, p.http, operatorKey}
	_, state := operator.submit(map[string]any{"job_type": "t", "payload": map[string]any{"n": 1}})
	require.Equal(t, "queued", state)
	require.NotContains(t, p.log(), "panic")
}

// An owner over the limit delays nobody else, however much comes at once.
func TestAFloodAtTheDoorDelaysNobody(t *testing.T) {
	t.Parallel()
	env := append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_RATE_LIMIT_DEFAULTS=operator=60")
	p := launch(t, t.TempDir(), env, "up")
	here := platform{http: p.http, nats: p.nats}
	noisy, js := natsClient(t, here, "dev-operator", operatorKey)
	told := rejections(t, noisy, "dev-operator")
	_, calm := natsClient(t, here, "dev-researcher", researcherKey)
	const n, waiting = 7_000, 500
	futures := make([]jetstream.PubAckFuture, 0, n)
	for range n {
		f, err := js.PublishAsync("nexus.submit.dev-operator.integrity_audit", []byte(`{}`), jetstream.WithStallWait(patience))
		require.NoError(t, err)
		futures = append(futures, f)
	}
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			require.NoError(t, err)
		case <-time.After(patience):
			require.Fail(t, "the broker did not take the flood")
		}
	}
	c := client{t, p.http, researcherKey}
	for i := range 3 {
		began := time.Now()
		_, err := calm.Publish(t.Context(), "nexus.submit.dev-researcher.integrity_audit", fmt.Appendf(nil, `{"tags":["calm-%d"]}`, i))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(c.get(fmt.Sprintf("/api/v1/jobs?tag=calm-%d", i))["jobs"].([]any)) == 1 }, patience, 20*time.Millisecond)
		t.Log(time.Since(began))
		// Two seconds are the promise on a machine that does nothing else.
		require.Less(t, time.Since(began), 10*time.Second)
	}
	for range n - 60 - waiting - 60 {
		why := testkit.Receive(t, told)
		require.Equal(t, "rate_limited", why.Code)
		require.Positive(t, why.RetryAfterSeconds)
	}
}
