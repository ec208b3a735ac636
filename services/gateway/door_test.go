package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

// knock publishes to the NATS door, as a client whose name the server has
// checked, and returns the number in the receipt.
func (w *world) knock(subject, body string, header ...string) uint64 {
	w.t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(body)
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	ack, err := w.js.PublishMsg(w.t.Context(), msg)
	require.NoError(w.t, err)
	require.Equal(w.t, contract.StreamSubmit, ack.Stream)
	return ack.Sequence
}

// waiting is how many messages the door has not settled.
func (w *world) waiting() uint64 {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), contract.StreamSubmit)
	require.NoError(w.t, err)
	return stream.CachedInfo().State.Msgs
}

func (w *world) settled() {
	w.t.Helper()
	testkit.Eventually(w.t, func() bool { return w.waiting() == 0 }, "the door did not settle its messages")
}

// deadLetter is a message that was kept because it became no job.
type deadLetter struct{ subject, reason, origin, body string }

// graveyard reads the dead letters, from the first.
func (w *world) graveyard() <-chan deadLetter {
	w.t.Helper()
	ch := make(chan deadLetter, 1000)
	w.follow(contract.StreamDead, contract.PatternDead, func(m jetstream.Msg) {
		ch <- deadLetter{m.Subject(), m.Headers().Get(contract.HeaderReason), m.Headers().Get(contract.HeaderOrigin), string(m.Data())}
	})
	return ch
}

func TestDoorSubmits(t *testing.T) {
	t.Parallel()
	w, g := start(t, withDoor)
	w.caller(contract.VerifyReply{Owner: "ann", Role: "operator"})
	w.knock("nexus.submit.ann.ingest_batch", ` {"payload": {"source_paths": ["a"]}, "idempotency_key":"k 1", "max_attempts":7, "job_type":"ingest_batch"} `,
		contract.HeaderRequestID, "door-1", "traceparent", traceParent)
	s := testkit.Receive(t, w.recorded)
	w.settled()
	require.Equal(t, contract.OwnerRequest{Owner: "ann"}, lastRequest[contract.OwnerRequest](w, contract.RPCAuthOwner))
	require.Empty(t, w.requests(contract.RPCAuthVerify), "the server has seen the key, nobody else")
	rest := g.as("ann").submit(200, `{"job_type":"ingest_batch","idempotency_key":"k 1"}`)
	require.Equal(t, rest.JobID, s.JobID, "a key means one job at both doors")
	s.Ref = ""
	require.Len(t, s.RequestHash, 64)
	s.RequestHash = ""
	require.Equal(t, contract.Submission{
		JobID: rest.JobID, JobType: "ingest_batch", ExecutionMode: contract.ModeAsync, Payload: json.RawMessage(`{"source_paths":["a"]}`),
		IdempotencyKey: "k 1", MaxAttempts: 7, CreatedBy: "ann", RequestID: "door-1", TraceParent: traceParent,
	}, s)
	require.Equal(t, rest.JobID, testkit.Receive(t, w.recorded).JobID)

	// Without a key each message is a job of its own.
	ids := map[string]bool{}
	for range 3 {
		w.knock("nexus.submit.ann.analyze", `{}`)
		s := testkit.Receive(t, w.recorded)
		require.NoError(t, uuid.Validate(s.JobID))
		require.JSONEq(t, `{}`, string(s.Payload))
		require.Equal(t, 3, s.MaxAttempts)
		ids[s.JobID] = true
	}
	require.Len(t, ids, 3)
	for _, bad := range []string{strings.Repeat("x", 129), "a b", "é"} {
		w.knock("nexus.submit.ann.analyze", `{}`, contract.HeaderRequestID, bad)
		require.Empty(t, testkit.Receive(t, w.recorded).RequestID)
	}
	w.settled()
}

func TestDoorRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for owner, role := range map[string]string{"ann": "operator", "eve": "viewer", "res": "researcher"} {
		w.caller(contract.VerifyReply{Owner: owner, Role: role, RawModeEnabled: role == "researcher"})
	}
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		v := contract.SubmitVerdict{JobID: s.JobID, Status: contract.StatusQueued}
		if code, ok := strings.CutPrefix(s.IdempotencyKey, "verdict:"); ok {
			v.Status, v.Code, v.Detail = "", code, "says the recorder"
		}
		return v, true
	})
	w.gateway(withDoor)
	rejected, dead := w.events(contract.AreaSubmit), w.graveyard()
	for _, tc := range []struct{ subject, body, code, detail string }{
		{"ann.analyze", ``, "validation_error", "request body is required"},
		{"ann.analyze", `job`, "validation_error", "body: not valid JSON"},
		{"ann.analyze", `[]`, "validation_error", "body: expected object"},
		{"ann.analyze", `"{}"`, "validation_error", "body: expected object"},
		{"ann.analyze", `{"payload":`, "validation_error", "body: not valid JSON"},
		{"ann.analyze", `{} {}`, "validation_error", "after top-level value"},
		{"ann.analyze", `{} x`, "validation_error", "after top-level value"},
		{"ann.analyze", `{"stream":"NEXUS_EVENTS","seq":7}`, "validation_error", "unexpected property"},
		{"ann.analyze", `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"NEXUS_SUBMIT","seq":0}`, "validation_error", "unexpected property"},
		{"ann.analyze", `{"execution_mode":"sync"}`, "validation_error", "body.execution_mode: unexpected property"},
		{"ann.analyze", `{"created_by":"root"}`, "validation_error", "body.created_by: unexpected property"},
		{"ann.analyze", `{"job_type":"ingest_batch"}`, "validation_error", "its subject 'analyze'"},
		{"ann.analyze", `{"job_type":"a\r\nNexus-Origin: forged"}`, "validation_error", "its subject 'analyze'"},
		{"ann.analyze", `{"max_attempts":11}`, "validation_error", "body.max_attempts: "},
		{"ann.analyze", `{"max_attempts":-1}`, "validation_error", "body.max_attempts: "},
		{"ann.analyze", `{"max_attempts":"3"}`, "validation_error", "body.max_attempts: "},
		{"ann.analyze", `{"idempotency_key":"` + strings.Repeat("k", 201) + `"}`, "validation_error", "body.idempotency_key: "},
		{"ann.analyze", `{"idempotency_key":"a\u0000"}`, "validation_error", "printable"},
		{"ann.analyze", `{"payload":[]}`, "validation_error", "JSON object"},
		{"ann.analyze", `{"payload":null}`, "validation_error", "JSON object"},
		{"ann.analyze", `{"payload":{"a":"\u0000"}}`, "validation_error", "NUL"},
		{"ann.analyze", "{\"payload\":{\"a\":\"\xff\"}}", "validation_error", "UTF-8"},
		{"ann.analyze", `{"payload":{"p":"` + strings.Repeat("x", maxPayload) + `"}}`, "too_large", "the limit is 524288"},
		{"ann.analyze", `{"payload":{"mode":"RAW"}}`, "forbidden", "Mode 'RAW' is not allowed"},
		{"res.analyze", `{"payload":{"mode":"raw"}}`, "validation_error", "Unknown mode"},
		{"ann.brew_tea", `{}`, "unknown_job_type", "Unknown job_type 'brew_tea'"},
		{"eve.analyze", `{}`, "forbidden", "Role 'viewer' lacks required permission 'operator'"},
		{"nobody.analyze", `{}`, "unauthorized", "Missing or invalid API key"},
		{"ann.analyze", `{"idempotency_key":"verdict:conflict"}`, "conflict", "says the recorder"},
		{"ann.analyze", `{"idempotency_key":"verdict:unknown_job_type"}`, "unknown_job_type", "says the recorder"},
		{"ann.analyze", `{"idempotency_key":"verdict:validation_error"}`, "validation_error", "says the recorder"},
		{"ann", `{}`, "validation_error", "want nexus.submit.<owner>.<job_type>"},
		{"ann.analyze.now", `{}`, "validation_error", "want nexus.submit.<owner>.<job_type>"},
		{"ann.a.b.c", `{}`, "validation_error", "want nexus.submit.<owner>.<job_type>"},
		{"ann.a$b", `{}`, "validation_error", `"a$b"`},
		{"a$b.analyze", `{}`, "validation_error", `"a$b"`},
		{"ann." + strings.Repeat("x", 65), `{}`, "validation_error", "want 1 to 64"},
	} {
		subject := "nexus.submit." + tc.subject
		seq := w.knock(subject, tc.body, contract.HeaderRequestID, "refused-1")
		letter, e := testkit.Receive(t, dead), testkit.Receive(t, rejected)
		var why contract.Rejection
		require.NoError(t, json.Unmarshal(e.Data, &why))
		require.Contains(t, why.Detail, tc.detail, "%s %.80s", subject, tc.body)
		owner, jobType, err := contract.ParseSubmitSubject(subject)
		if err != nil {
			owner, jobType = "unknown", "unknown"
			if strings.HasPrefix(tc.subject, "ann") {
				owner = "ann"
			}
		}
		require.Equal(t, contract.Rejection{Owner: owner, JobType: jobType, Sequence: seq, Code: tc.code, Detail: why.Detail}, why)
		require.Equal(t, []string{"nexus.submit.rejected.v1", owner, "refused-1", "nexus.gateway"}, []string{e.Type, e.Actor, e.RequestID, e.Source})
		require.Equal(t, deadLetter{"nexus.dead.gateway.refused", letter.reason, subject, tc.body}, letter)
		require.Equal(t, oneLine(tc.code+": "+why.Detail), letter.reason)
	}
	w.settled()
	require.Empty(t, dead)
	require.Empty(t, rejected)
	w.knock("nexus.submit.res.analyze", `{"payload":{"mode":"RAW"},"idempotency_key":"last"}`)
	for s := testkit.Receive(t, w.recorded); s.IdempotencyKey != "last"; s = testkit.Receive(t, w.recorded) {
		require.Contains(t, s.IdempotencyKey, "verdict:", "what the door refuses is not recorded")
	}
}

// oneLine is how a text looks in a header.
// oneLine is a reason as a header holds it.
func oneLine(s string) string { return contract.Cut(strings.Join(strings.Fields(s), " "), 1024) }

// What one door refuses the other refuses too, with the same code and in the same
// words.
func TestBothDoorsRefuseAlike(t *testing.T) {
	t.Parallel()
	w, g := start(t, withDoor)
	c := g.role(identity.Operator)
	rejected := w.events(contract.AreaSubmit)
	for _, more := range []string{
		`"priority":""`, `"priority":"urgent"`, `"priority":7`, `"job_type":null`, `"job_type":""`, `"job_type":7`, `"max_attempts":0`, `"max_attempts":11`,
		`"max_attempts":2.5`, `"max_attempts":"3"`, `"timeout_seconds":0`, `"timeout_seconds":86401`, `"delay_seconds":-1`, `"delay_seconds":"1"`,
		`"delay_seconds":1e300`, `"run_at":"tomorrow"`, `"run_at":7`, `"run_at":"2026-02-30T00:00:00Z"`, `"run_at":"9999-01-01T00:00:00Z"`,
		`"tags":"a"`, `"tags":[7]`, `"tags":["a b"]`, `"tags":["a","a"]`, `"tags":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 17), ",") + `]`,
		`"idempotency_key":7`, `"idempotency_key":"` + strings.Repeat("k", 201) + `"`, `"idempotency_key":"a\u0000"`, `"payload":[]`, `"payload":null`,
		`"payload":{"a":"\u0000"}`, `"webhook":{}`, `"webhook":"https://example.com"`, `"webhook":{"url":""}`, `"webhook":{"url":"ftp://example.com"}`,
		`"webhook":{"url":"https://example.com","secret":"x"}`, `"webhook":{"url":"https://example.com","events":["job.progress"]}`,
		`"created_by":"root"`, `"Priority":""`, `"priority":"low","priority":""`, `"priority":`, `"priority"`, `} {`, `"max_attempts":1e99`,
		`"PRIORITY":"low"`, `"Job_Type":"ingest_batch"`, `"priority":"low","Priority":"low"`, `"tags":["a"],"tags":["b"]`, `"webhook":{"URL":"https://example.com"}`,
		`"webhook":{"url":"https://example.com","Events":[]}`, `"webhook":{"url":"https://example.com","url":"https://example.org"}`, `"Execution_Mode":"sync"`,
		`"max_attempts":` + strings.Repeat("1", 200_000), `"max_attempts":1.0`, `"delay_seconds":1e-1000001`, `"delay_seconds":1e999`, `"payload":{"n":1e-1000001}`,
		`"payload":{"n":[1E+400,1e401]}`, `"payload":{"n":` + strings.Repeat("1", 200_000) + `}`, `"payload":{},"payload":{}`,
		`"run_at":"0000-01-01T00:00:00+23:59"`, `"run_at":"0000-06-01T00:00:00Z"`, `"run_at":"9999-12-31T23:59:59-23:59"`, `"run_at":"10000-01-01T00:00:00Z"`,
	} {
		body := `{"job_type":"analyze",` + more + `}`
		if strings.Contains(more, `"job_type"`) {
			body = `{` + more + `}`
		}
		r := c.send(http.MethodPost, submitURL, body)
		rest := r.problem()
		require.GreaterOrEqual(t, r.status, 400, more)
		w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", body)
		var why contract.Rejection
		require.NoError(t, json.Unmarshal(testkit.Receive(t, rejected).Data, &why))
		require.Equal(t, rest.Code+" "+rest.Detail, why.Code+" "+why.Detail, more)
	}
	require.Empty(t, w.recorded)
	for _, more := range []string{`"priority":null`, `"max_attempts":null`, `"webhook":null`, `"tags":null`, `"run_at":null`, `"tags":[]`} {
		body := `{"job_type":"analyze","idempotency_key":"k",` + more + `}`
		c.submit(http.StatusOK, body)
		rest := testkit.Receive(t, w.recorded)
		w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", body)
		door := testkit.Receive(t, w.recorded)
		require.Equal(t, rest.RequestHash, door.RequestHash, more)
		require.Equal(t, rest.JobID, door.JobID, more)
	}
	w.settled()
}

// However long the names and words of a refused message are, it is settled.
func TestDoorSettlesWhatItCannotRepeat(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	rejected, dead := w.events(contract.AreaSubmit), w.graveyard()
	long := strings.Repeat("x", 900_000)
	for _, body := range []string{`{"` + long + `":1}`, `{"job_type":"` + long + `"}`, `{"priority":"` + long + `"}`, `{"payload":{"mode":"` + long[:100_000] + `"}}`} {
		w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", body)
		letter := testkit.Receive(t, dead)
		require.Equal(t, body, letter.body)
		require.LessOrEqual(t, len(letter.reason), 1100)
		require.Less(t, len(testkit.Receive(t, rejected).Data), 4096)
	}
	w.settled()
}

// A dead letter keeps what a replay runs under: the request id and the trace.
func TestDoorKeepsRequestIDAndTrace(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	letters := make(chan nats.Header, 10)
	w.follow(contract.StreamDead, contract.PatternDead, func(m jetstream.Msg) { letters <- m.Headers() })
	subject := "nexus.submit." + ownerOf(identity.Operator) + ".analyze"
	w.knock(subject, `no job`, contract.HeaderRequestID, "door-7", "traceparent", traceParent)
	h := testkit.Receive(t, letters)
	require.Equal(t, "door-7", h.Get(contract.HeaderRequestID))
	require.Contains(t, h.Get("Traceparent"), strings.Split(traceParent, "-")[1])
	w.knock(subject, `no job`, contract.HeaderRequestID, "not an id")
	require.Empty(t, testkit.Receive(t, letters).Get(contract.HeaderRequestID))
	w.settled()
}

func TestDoorAsyncDisabled(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor, with(func(c *gateway.Config) { c.AsyncEnabled = false }))
	dead := w.graveyard()
	w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", `{}`)
	require.Equal(t, "async_disabled: Async jobs are disabled by feature flag", testkit.Receive(t, dead).reason)
	w.settled()
}

// Owners are asked about each few seconds: a key that was disabled is refused
// although its connection is still open.
func TestDoorOfADisabledOwner(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	owner := ownerOf(identity.Operator)
	dead := w.graveyard()
	submit := func() { w.knock("nexus.submit."+owner+".analyze", `{}`) }
	submit()
	testkit.Receive(t, w.recorded)
	w.disable(owner)
	submit()
	testkit.Receive(t, w.recorded)
	require.Len(t, w.requests(contract.RPCAuthOwner), 1)
	w.clock.advance(5 * time.Second)
	submit()
	require.Contains(t, testkit.Receive(t, dead).reason, "unauthorized")
	w.settled()
	require.Empty(t, w.recorded)
}

func TestDoorKeepsWhatCannotBeHandledNow(t *testing.T) {
	t.Parallel()
	owner := ownerOf(identity.Operator)
	for name, tc := range map[string]struct {
		breaks, mends func(*testing.T, *world)
	}{
		"auth away": {
			func(_ *testing.T, w *world) { w.stop["auth"]() },
			func(_ *testing.T, w *world) { w.service("auth", subjects()["auth"]...) },
		},
		"auth confused": {
			func(_ *testing.T, w *world) { w.answer(contract.RPCAuthOwner, always("what?")) },
			func(_ *testing.T, w *world) { w.answer(contract.RPCAuthOwner, w.owner) },
		},
		"auth overloaded": {
			func(_ *testing.T, w *world) {
				w.answer(contract.RPCAuthOwner, refuses(fault.New(fault.RateLimited, "", "Slow down.")))
			},
			func(_ *testing.T, w *world) { w.answer(contract.RPCAuthOwner, w.owner) },
		},
		"jobs away": {
			func(_ *testing.T, w *world) { w.stop["jobs"]() },
			func(_ *testing.T, w *world) { w.service("jobs", subjects()["jobs"]...) },
		},
		"commands cannot be stored": {
			func(t *testing.T, w *world) {
				t.Helper()
				w.stop["recorder"]()
				require.NoError(t, w.js.DeleteStream(t.Context(), contract.StreamCommands))
			},
			func(t *testing.T, w *world) {
				t.Helper()
				mends(t, w)
				w.recorder()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := start(t, withDoor)
			tc.breaks(t, w)
			w.knock("nexus.submit."+owner+".analyze", `{"payload":{"n":1}}`)
			testkit.Eventually(t, func() bool { return strings.Contains(w.log.String(), "it will come again") }, "the message was not given back")
			require.EqualValues(t, 1, w.waiting())
			tc.mends(t, w)
			require.JSONEq(t, `{"n":1}`, string(testkit.Receive(t, w.recorded).Payload))
			w.settled()
			require.Empty(t, w.recorded)
		})
	}
}

// A recorder that is away loses nothing: the broker has the command.
func TestDoorWithoutARecorder(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	w.stop["recorder"]()
	w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", `{"payload":{"n":1}}`)
	w.settled()
	w.recorder()
	require.JSONEq(t, `{"n":1}`, string(testkit.Receive(t, w.recorded).Payload))
}

// A refused message leaves the door only once it is kept as a dead letter.
func TestDoorKeepsARefusedMessageUntilItIsBuried(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	require.NoError(t, w.js.DeleteStream(t.Context(), contract.StreamDead))
	subject := "nexus.submit." + ownerOf(identity.Operator) + ".analyze"
	w.knock(subject, `no job`)
	testkit.Eventually(t, func() bool { return strings.Contains(w.log.String(), "could not be kept") }, "the message was not given back")
	require.EqualValues(t, 1, w.waiting())
	require.NoError(t, bus.Provision(t.Context(), w.js, contract.Streams(), contract.Consumers(testkit.Lease)))
	letter := testkit.Receive(t, w.graveyard())
	require.Equal(t, subject+" no job", letter.origin+" "+letter.body)
	w.settled()
}

// A gateway that loses the network while it handles a message leaves it to
// another, which makes the same job of it.
func TestDoorRedeliveryIsTheSameJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.gateway(withDoor)
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		first.wire.breaks()
		return queued(s)
	})
	for _, body := range []string{`{"idempotency_key":"k"}`, `{}`} {
		w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", body)
		lost := testkit.Receive(t, w.recorded)
		second := w.gateway(withDoor)
		var again contract.Submission
		testkit.Eventually(t, func() bool {
			// The second gateway sets the consumer right when it begins to read.
			w.soonAgain()
			select {
			case again = <-w.recorded:
				return true
			default:
				return false
			}
		}, "the message did not come again")
		require.Equal(t, lost.JobID, again.JobID, body)
		w.settled()
		second.stop()
		first.wire.mends()
		testkit.Eventually(t, first.nc.IsConnected, "the first gateway did not come back")
	}
}

// soonAgain makes the broker deliver a message again that was silent for a
// second.
func (w *world) soonAgain() {
	w.t.Helper()
	cons, err := w.js.Consumer(w.t.Context(), contract.StreamSubmit, contract.DoorConsumer(ownerOf(identity.Operator)).Durable)
	require.NoError(w.t, err)
	cfg := cons.CachedInfo().Config
	if cfg.AckWait == time.Second {
		return
	}
	cfg.AckWait = time.Second
	_, err = w.js.UpdateConsumer(w.t.Context(), contract.StreamSubmit, cfg)
	require.NoError(w.t, err)
}

func TestManyMessagesAtTheDoor(t *testing.T) {
	t.Parallel()
	w, g := start(t, withDoor)
	dead := w.graveyard()
	const n = 300
	for i := range n {
		w.caller(contract.VerifyReply{Owner: fmt.Sprintf("owner-%d", i%10), Role: "operator"})
	}
	for i := range n {
		w.knock(fmt.Sprintf("nexus.submit.owner-%d.analyze", i%10), fmt.Sprintf(`{"payload":{"n":%d}}`, i))
	}
	w.knock("nexus.submit.owner-1.analyze", `no job`)
	got, ids := map[string]string{}, map[string]bool{}
	for range n {
		s := testkit.Receive(t, w.recorded)
		got[string(s.Payload)], ids[s.JobID] = s.CreatedBy, true
	}
	for i := range n {
		require.Equal(t, fmt.Sprintf("owner-%d", i%10), got[fmt.Sprintf(`{"n":%d}`, i)])
	}
	require.Len(t, ids, n)
	require.Equal(t, "no job", testkit.Receive(t, dead).body)
	w.settled()

	// What is being handled when the gateway stops is handled to its end.
	release := make(chan struct{})
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		<-release
		return queued(s)
	})
	w.knock("nexus.submit.owner-1.analyze", `{}`)
	testkit.Receive(t, w.recorded)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.stop()
	}()
	close(release)
	testkit.Receive(t, stopped)
	w.settled()
	require.Empty(t, w.recorded)
}

func TestClosedDoor(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", `{}`)
	g.role(identity.Operator).submit(200, `{"job_type":"ingest_batch"}`)
	require.Equal(t, "ingest_batch", testkit.Receive(t, w.recorded).JobType)
	require.EqualValues(t, 1, w.waiting())
	w.gateway(withDoor)
	require.Equal(t, "analyze", testkit.Receive(t, w.recorded).JobType)
}

func TestDoorWithoutItsStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.js.DeleteStream(t.Context(), contract.StreamSubmit))
	s, err := gateway.New(gateway.Config{SyncWaitSeconds: 1, MaxBodyBytes: 1024, MaxPayloadBytes: 1024}, gateway.Deps{
		NC: w.nc, JS: w.js, NATSDoor: true, Tokens: tokens(), Tracer: noop.NewTracerProvider(), Now: w.clock.now,
	})
	require.NoError(t, err)
	for _, part := range s.Components() {
		if part.Name() == "nats door" {
			require.ErrorContains(t, part.Run(t.Context(), func() {}), contract.ConsumerDoor)
			return
		}
	}
	require.Fail(t, "there is no door")
}
