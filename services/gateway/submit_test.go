package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestSubmitReachesTheRecorder(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	var out submitted
	g.role(identity.Operator).send(http.MethodPost, submitURL,
		`{"job_type":"ingest_batch","payload":{"source_paths":["a"]},"execution_mode":"async","idempotency_key":"k 1","max_attempts":7}`,
		requestID, "submit-1", "Traceparent", traceParent).is(http.StatusOK, &out)
	s := testkit.Receive(t, w.recorded)
	require.NotEmpty(t, s.Ref)
	require.Len(t, s.RequestHash, 64)
	s.Ref, s.RequestHash = "", ""
	require.Equal(t, contract.Submission{
		JobID: out.JobID, JobType: "ingest_batch", ExecutionMode: "async", Payload: json.RawMessage(`{"source_paths":["a"]}`), IdempotencyKey: "k 1",
		MaxAttempts: 7, CreatedBy: ownerOf(identity.Operator), RequestID: "submit-1", TraceParent: traceParent,
	}, s)
	require.Equal(t, submitted{JobID: s.JobID, Status: "queued", JobType: "ingest_batch", ExecutionMode: "async"}, out)

	g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch"}`)
	s = testkit.Receive(t, w.recorded)
	require.Equal(t, 4, s.MaxAttempts, "the default of the job type")
	require.Equal(t, contract.ModeAsync, s.ExecutionMode)
	require.JSONEq(t, `{}`, string(s.Payload))
	g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch","execution_mode":null,"idempotency_key":null,"max_attempts":null}`)
	s = testkit.Receive(t, w.recorded)
	require.Equal(t, 4, s.MaxAttempts)
	require.Equal(t, contract.ModeAsync, s.ExecutionMode)
	require.Empty(t, s.IdempotencyKey)
}

func TestVerdictsBecomeAnswers(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	for name, tc := range map[string]struct {
		verdict contract.SubmitVerdict
		status  int
		want    string
	}{
		"new":             {contract.SubmitVerdict{Status: contract.StatusQueued}, 200, "queued"},
		"repeated":        {contract.SubmitVerdict{Status: contract.StatusRunning, Existing: true}, 200, "running"},
		"repeated at end": {contract.SubmitVerdict{Status: contract.StatusSucceeded, Existing: true}, 200, "succeeded"},
		"conflict":        {contract.SubmitVerdict{Code: contract.CodeConflict, Detail: "Another payload."}, 409, "conflict"},
		"unknown type":    {contract.SubmitVerdict{Code: contract.CodeUnknownJobType, Detail: "Unknown job_type 'x'"}, 400, "unknown_job_type"},
		"invalid":         {contract.SubmitVerdict{Code: contract.CodeInvalid, Detail: "payload is bad"}, 422, "validation_error"},
		"another code":    {contract.SubmitVerdict{Code: "later", Detail: "Something new."}, 422, "validation_error"},
	} {
		w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
			v := tc.verdict
			v.JobID = s.JobID
			return v, true
		})
		for _, mode := range []string{"async", "sync"} {
			if mode == "sync" && tc.verdict.Code == "" && !tc.verdict.Status.Finished() {
				continue // waits: see the tests of sync
			}
			r := c.send(http.MethodPost, submitURL, `{"job_type":"analyze","execution_mode":"`+mode+`"}`)
			if tc.status == http.StatusOK {
				var out submitted
				r.is(tc.status, &out)
				require.Equal(t, tc.want, out.Status, name)
				continue
			}
			require.Equal(t, tc.verdict.Detail, r.fails(tc.status, tc.want).Detail, name)
		}
	}
}

func TestJobTypes(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	const body = `{"job_type":"brew_tea"}`
	require.Equal(t, "Unknown job_type 'brew_tea'", c.send(http.MethodPost, submitURL, body).fails(http.StatusBadRequest, "unknown_job_type").Detail)
	require.Len(t, w.requests(contract.RPCJobsTypes), 1)
	c.submit(http.StatusOK, `{"job_type":"analyze"}`)
	require.Len(t, w.requests(contract.RPCJobsTypes), 1, "asked once for many submits")

	w.answer(contract.RPCJobsTypes, always(contract.JobTypesReply{JobTypes: []contract.JobType{{Name: "brew_tea", MaxAttempts: 2, Enabled: true}}}))
	c.send(http.MethodPost, submitURL, body).fails(http.StatusBadRequest, "unknown_job_type")
	w.clock.advance(5 * time.Second)
	c.submit(http.StatusOK, body)

	// An old answer is better than none.
	w.answer(contract.RPCJobsTypes, refuses(fault.Unavailablef("Postgres does not answer.")))
	w.clock.advance(time.Hour)
	c.submit(http.StatusOK, body)
	w.stop["jobs"]()
	c.submit(http.StatusOK, body)

	fresh := w.gateway()
	fresh.role(identity.Operator).send(http.MethodPost, submitURL, body).fails(http.StatusServiceUnavailable, "unavailable")
}

func TestAsyncDisabled(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(func(c *gateway.Config) { c.AsyncEnabled = false }))
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		return contract.SubmitVerdict{JobID: s.JobID, Status: contract.StatusSucceeded, Existing: true}, true
	})
	c := g.role(identity.Operator)
	for _, body := range []string{`{"job_type":"analyze"}`, `{"job_type":"analyze","execution_mode":"async"}`, `{"job_type":"analyze","execution_mode":null}`} {
		require.Equal(t, "Async jobs are disabled by feature flag", c.send(http.MethodPost, submitURL, body).fails(http.StatusBadRequest, "async_disabled").Detail)
	}
	require.Empty(t, w.recorded)
	c.submit(http.StatusOK, `{"job_type":"analyze","execution_mode":"sync"}`)
}

// A key means one job of its caller and its type, wherever and however often it
// is sent.
func TestIdempotentIDs(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	another := w.gateway()
	w.caller(contract.VerifyReply{Owner: "ann", Role: "operator"})
	w.caller(contract.VerifyReply{Owner: "anna", Role: "operator"})
	submit := func(i *instance, owner, jobType, key string) string {
		body, err := json.Marshal(map[string]string{"job_type": jobType, "idempotency_key": key})
		require.NoError(t, err)
		return i.as(owner).submit(http.StatusOK, string(body)).JobID
	}
	first := submit(g, "ann", "analyze", "key-1")
	require.Equal(t, uuid.Version(5), uuid.MustParse(first).Version())
	require.Equal(t, first, submit(g, "ann", "analyze", "key-1"))
	require.Equal(t, first, submit(another, "ann", "analyze", "key-1"))
	ids := map[string]bool{first: true}
	for _, other := range [][3]string{
		{"anna", "analyze", "key-1"},
		{"ann", "ingest_batch", "key-1"},
		{"ann", "analyze", "key-2"},
		{"ann", "analyze", "KEY-1"},
		{"ann", "analyze", "key-1 "},
		{"ann", "analyze", ""},
		{"ann", "analyze", ""},
	} {
		id := submit(g, other[0], other[1], other[2])
		require.False(t, ids[id], "%v has the id of another", other)
		ids[id] = true
		if other[2] == "" {
			require.Equal(t, uuid.Version(7), uuid.MustParse(id).Version())
		}
	}
	refs := map[string]bool{}
	for range len(ids) + 2 {
		refs[testkit.Receive(t, w.recorded).Ref] = true
	}
	require.GreaterOrEqual(t, len(refs), len(ids)+1, "each request has its own mark, two of one job as well")
}

func TestManySubmitsAtOnceEachGetTheirOwnVerdict(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		v := contract.SubmitVerdict{JobID: s.JobID}
		switch name, _, _ := strings.Cut(s.IdempotencyKey, "/"); name {
		case "conflict":
			v.Code, v.Detail = contract.CodeConflict, s.IdempotencyKey
		case "invalid":
			v.Code, v.Detail = contract.CodeInvalid, s.IdempotencyKey
		default:
			v.Status = contract.Status(name)
		}
		return v, true
	})
	kinds := []string{"queued", "conflict", "running", "invalid"}
	clients := []client{g.role(identity.Operator), g.role(identity.Researcher), g.role(identity.Admin)}
	var wg sync.WaitGroup
	results := make(chan error, 200)
	for i := range 200 {
		wg.Go(func() {
			kind := kinds[i%len(kinds)]
			// Two neighbours send the same key.
			key := fmt.Sprintf("%s/%d", kind, i/8)
			r := clients[i%len(clients)].try(http.MethodPost, submitURL, `{"job_type":"analyze","idempotency_key":"`+key+`","payload":{"n":`+fmt.Sprint(i)+`}}`)
			results <- matches(r, kind, key)
		})
	}
	wg.Wait()
	for range 200 {
		require.NoError(t, <-results)
	}
}

func matches(r reply, kind, key string) error {
	if r.err != nil {
		return r.err
	}
	var got struct {
		Status any    `json:"status"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(r.body, &got); err != nil {
		return err
	}
	want, refused := map[string]int{"conflict": 409, "invalid": 422}[kind]
	if !refused {
		want = http.StatusOK
	}
	if r.status != want || (want == 200 && got.Status != kind) || (want != 200 && got.Detail != key) {
		return fmt.Errorf("%s was answered %d %s", key, r.status, r.body)
	}
	return nil
}

func TestPayloadsAreCompactedAndKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	for sent, want := range map[string]string{
		`{}`: `{}`,
		" {\n \"a\" : [ 1 , 2 ] ,\t\"b\":{ } }\r\n":        `{"a":[1,2],"b":{}}`,
		`{"n":12345678901234567890.10,"e":1E308,"z":-0}`:   `{"n":12345678901234567890.10,"e":1E308,"z":-0}`,
		`{"z":1,"a":2,"z":3}`:                              `{"z":1,"a":2,"z":3}`,
		`{"t":" kept  as is ","q":"\"\\\/","u":"\u00e9é"}`: `{"t":" kept  as is ","q":"\"\\\/","u":"\u00e9é"}`,
		`{"s":"\ud83d\ude00😀","lone":"\ud800"}`:            `{"s":"\ud83d\ude00😀","lone":"\ud800"}`,
		`{"":"empty name"}`:                                `{"":"empty name"}`,
		`{"nul is fine when escaped":"\\u0000"}`:           `{"nul is fine when escaped":"\\u0000"}`,
	} {
		c.submit(http.StatusOK, `{"job_type":"ingest_batch","payload":`+sent+`}`)
		require.Equal(t, want, string(testkit.Receive(t, w.recorded).Payload))
	}
	// What the encoder escapes is the same value.
	c.submit(http.StatusOK, `{"job_type":"ingest_batch","payload":{"h":"<a href='x'>&</a>\u2028"}}`)
	require.JSONEq(t, `{"h":"<a href='x'>&</a>\u2028"}`, string(testkit.Receive(t, w.recorded).Payload))
}

func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Admin)
	sized := func(n int) string { return `{"p":"` + strings.Repeat("x", n-len(`{"p":""}`)) + `"}` }
	for payload, want := range map[string]int{
		`null`: 422, `true`: 422, `7`: 422, `"{}"`: 422, `[]`: 422, `[{}]`: 422,
		`{"a":"\u0000"}`: 422, `{"\u0000":1}`: 422, `{"a":["\\\u0000"]}`: 422,
		"{\"a\":\"\xff\"}": 422, "{\"a\":\"\xc0\x80\"}": 422, "{\"a\":\"\xed\xa0\x80\"}": 422,
		`{"a":01}`: 400, `{"a":NaN}`: 400, `{"a":1E400}`: 422, `{"a":1e-1000001}`: 422, `{"a":1E-99999999999999999999}`: 422, `{'a':1}`: 400, `{"a":"` + "\x01" + `"}`: 400, `{"a":1}}`: 400,
		`{"a":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`: 400,
		sized(maxPayload + 1): 413,
	} {
		r := c.send(http.MethodPost, submitURL, `{"job_type":"ingest_batch","payload":`+payload+`}`)
		require.Equal(t, want, r.status, "%.60s: %.200s", payload, r.body)
	}
	require.Empty(t, w.recorded)
	c.submit(http.StatusOK, `{"job_type":"ingest_batch","payload":`+sized(maxPayload)+`}`)
	require.Len(t, testkit.Receive(t, w.recorded).Payload, maxPayload)
}

func TestLargePayloadsTogetherFitTheirCommands(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	body := `{"job_type":"ingest_batch","payload":{"p":"` + strings.Repeat("x", 200<<10) + `"}}`
	answers := make([]<-chan reply, 12)
	for i := range answers {
		answers[i] = c.background(body)
	}
	for _, answer := range answers {
		// A slow machine may take longer than the gateway waits for a verdict.
		require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, testkit.Receive(t, answer).status)
	}
	for range answers {
		require.Len(t, testkit.Receive(t, w.recorded).Payload, len(`{"p":""}`)+200<<10)
	}
}

func TestModeGate(t *testing.T) {
	t.Parallel()
	for _, rawEnabled := range []bool{true, false} {
		w, g := start(t, with(func(c *gateway.Config) { c.RawModeEnabled = rawEnabled }))
		w.caller(contract.VerifyReply{Owner: "raw-operator", Role: "operator", RawModeEnabled: true})
		w.caller(contract.VerifyReply{Owner: "public-admin", Role: "admin"})
		status := func(owner, jobType, payload string) int {
			return g.as(owner).send(http.MethodPost, submitURL, `{"job_type":"`+jobType+`","payload":`+payload+`}`).status
		}
		for owner, mayRaw := range map[string]bool{
			ownerOf(identity.Operator): false, "raw-operator": false, "public-admin": false,
			ownerOf(identity.Researcher): rawEnabled, ownerOf(identity.Admin): rawEnabled,
		} {
			raw := http.StatusForbidden
			if mayRaw {
				raw = http.StatusOK
			}
			for _, payload := range []string{`{"mode":"RAW"}`, `{"mo\u0064e":"R\u0041W"}`} {
				require.Equal(t, raw, status(owner, "analyze", payload), "%s %s", owner, payload)
			}
			for _, payload := range []string{`{"mode":"PUBLIC"}`, `{}`, `{"mode":null}`, `{"mode":""}`, `{"parse":{"mode":"RAW"}}`} {
				require.Equal(t, http.StatusOK, status(owner, "analyze", payload), "%s %s", owner, payload)
			}
			for _, payload := range []string{
				`{"mode":"raw"}`, `{"mode":"PRIVATE"}`, `{"mode":7}`, `{"mode":["RAW"]}`, `{"mode":{}}`, `{"mode":"RAW\u200b"}`,
				// Readers differ in which of these counts.
				`{"mode":"PUBLIC","mode":"RAW"}`, `{"mode":"RAW","mode":null}`, `{"mode":"PUBLIC","MODE":"RAW"}`, `{"mode":"RAW","Mode":null}`, `{"Mode":"PUBLIC"}`,
			} {
				require.Equal(t, http.StatusUnprocessableEntity, status(owner, "analyze", payload), "%s %s", owner, payload)
			}
			require.Equal(t, http.StatusOK, status(owner, "ingest_batch", `{"mode":"RAW"}`), "only gated types have a mode")
		}
		p := g.role(identity.Operator).send(http.MethodPost, submitURL, `{"job_type":"analyze","payload":{"mode":"RAW"}}`).fails(http.StatusForbidden, "forbidden")
		require.Equal(t, "Mode 'RAW' is not allowed for this key", p.Detail)
	}
}

// The broker has the command and nobody confirms it: the caller learns the id,
// and reading it back works.
func TestSilentRecorder(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	w.judges(silent)
	w.answer(contract.RPCJobsGet, refuses(fault.NotFoundf("Job not found")))
	c := g.role(identity.Operator)
	out := c.submit(http.StatusAccepted, `{"job_type":"analyze","payload":{"n":1},"idempotency_key":"k","max_attempts":2}`)
	require.Equal(t, submitted{JobID: out.JobID, Status: "accepted", JobType: "analyze", ExecutionMode: "async"}, out)
	require.Equal(t, out.JobID, testkit.Receive(t, w.recorded).JobID)

	var job contract.Job
	g.role(identity.Viewer).send(http.MethodGet, "/api/v1/jobs/"+out.JobID, "").is(http.StatusOK, &job)
	key := "k"
	require.Equal(t, contract.Job{
		JobSummary: contract.JobSummary{
			JobID: out.JobID, JobType: "analyze", Status: contract.StatusAccepted, ExecutionMode: contract.ModeAsync, MaxAttempts: 2,
			CreatedAt: w.clock.now(), UpdatedAt: w.clock.now(),
		},
		Payload: json.RawMessage(`{"n":1}`), Result: json.RawMessage(`null`), IdempotencyKey: &key, CreatedBy: ownerOf(identity.Operator),
		Attempts: []contract.Attempt{}, Artifacts: []contract.CreatedArtifact{},
	}, job)
	c.send(http.MethodGet, "/api/v1/jobs/"+uuid.NewString(), "").fails(http.StatusNotFound, "not_found")
	var elsewhere contract.Job
	other := w.gateway().role(identity.Viewer)
	other.send(http.MethodGet, "/api/v1/jobs/"+out.JobID, "").is(http.StatusOK, &elsewhere)
	require.Equal(t, job, elsewhere, "it does not matter which gateway is asked")

	// Whatever the recorder knows wins; what it never confirms is forgotten.
	w.answer(contract.RPCJobsGet, always(contract.Job{JobSummary: contract.JobSummary{JobID: out.JobID, Status: contract.StatusRunning}}))
	c.send(http.MethodGet, "/api/v1/jobs/"+out.JobID, "").is(http.StatusOK, &job)
	require.Equal(t, contract.StatusRunning, job.Status)
	w.answer(contract.RPCJobsGet, refuses(fault.Unavailablef("Postgres does not answer.")))
	c.send(http.MethodGet, "/api/v1/jobs/"+out.JobID, "").fails(http.StatusServiceUnavailable, "unavailable")
	w.answer(contract.RPCJobsGet, refuses(fault.NotFoundf("Job not found")))
	w.clock.advance(contract.AcceptedFor)
	c.send(http.MethodGet, "/api/v1/jobs/"+out.JobID, "").is(http.StatusOK, nil)
	w.clock.advance(time.Nanosecond)
	c.send(http.MethodGet, "/api/v1/jobs/"+out.JobID, "").fails(http.StatusNotFound, "not_found")
}

// The jobs of a batch and a payload of some size are known everywhere, too; a broker
// that does not know what was accepted is no failure, one that is away is.
func TestAcceptedJobsAreKnownEverywhere(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	other := w.gateway()
	w.judges(silent)
	w.answer(contract.RPCJobsGet, refuses(fault.NotFoundf("Job not found")))
	c, there := g.role(identity.Operator), other.role(identity.Viewer)
	var batch struct{ Jobs []submitted }
	c.send(http.MethodPost, "/api/v1/jobs/batch", `{"jobs":[{"job_type":"analyze"},{"job_type":"ingest_batch"}]}`).is(http.StatusAccepted, &batch)
	require.Len(t, batch.Jobs, 2)
	large := c.submit(http.StatusAccepted, `{"job_type":"analyze","payload":{"n":"`+strings.Repeat("x", 100<<10)+`"}}`)
	for _, j := range append(batch.Jobs, large) {
		var job contract.Job
		there.send(http.MethodGet, "/api/v1/jobs/"+j.JobID, "").is(http.StatusOK, &job)
		require.Equal(t, contract.StatusAccepted, job.Status)
		require.Equal(t, j.JobType, job.JobType)
	}
	require.NoError(t, w.js.DeleteStream(t.Context(), contract.StreamAccepted))
	there.send(http.MethodGet, "/api/v1/jobs/"+large.JobID, "").fails(http.StatusNotFound, "not_found")
	c.submit(http.StatusAccepted, `{"job_type":"analyze"}`)
}

// Nonsense on the gateway's inbox, and verdicts for others, confuse nobody.
func TestStrangeAnswersOfTheRecorder(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	w.stop["recorder"]()
	cons, err := w.js.Consumer(t.Context(), contract.StreamCommands, contract.ConsumerRecorder)
	require.NoError(t, err)
	answer := g.role(identity.Operator).background(`{"job_type":"analyze"}`)
	msg, err := cons.Next(jetstream.FetchMaxWait(20 * time.Second))
	require.NoError(t, err)
	require.Equal(t, contract.TypeSubmitCommand, msg.Headers().Get(contract.HeaderType))
	require.Equal(t, "gateway", msg.Headers().Get(contract.HeaderSource))
	var cmd contract.SubmitCommand
	require.NoError(t, json.Unmarshal(msg.Data(), &cmd))
	inbox := msg.Headers().Get(contract.HeaderReplyTo)
	good := contract.SubmitVerdict{Ref: cmd.Submissions[0].Ref, JobID: cmd.Submissions[0].JobID, Status: contract.StatusQueued}
	for _, said := range []any{
		"nonsense",
		map[string]any{"verdicts": 7},
		contract.SubmitReply{},
		contract.SubmitReply{Verdicts: []contract.SubmitVerdict{{Ref: "another", Code: "conflict"}, {Code: "conflict"}}},
		contract.SubmitReply{Verdicts: []contract.SubmitVerdict{good, {Ref: good.Ref, Code: contract.CodeConflict}}},
		contract.SubmitReply{Verdicts: []contract.SubmitVerdict{good}},
	} {
		body, err := json.Marshal(said)
		require.NoError(t, err)
		require.NoError(t, w.nc.Publish(inbox, body))
	}
	require.NoError(t, w.nc.Publish(inbox, nil))
	var out submitted
	testkit.Receive(t, answer).is(http.StatusOK, &out)
	require.Equal(t, "queued", out.Status, "the first verdict of the request counts")
	require.NoError(t, msg.Ack())
	require.Contains(t, w.log.String(), "the recorder's answer is unreadable")
}

func TestBrokerThatCannotTakeTheCommand(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*testing.T, *world){
		"gone": func(t *testing.T, w *world) {
			t.Helper()
			require.NoError(t, w.js.DeleteStream(t.Context(), contract.StreamCommands))
		},
		"full": func(t *testing.T, w *world) {
			t.Helper()
			limitStream(t, w, contract.StreamCommands, 1)
			_, err := w.js.PublishMsg(t.Context(), &nats.Msg{Subject: "nexus.cmd.jobs.other", Data: []byte("in the way")})
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, g := start(t)
			w.stop["recorder"]()
			breaks(t, w)
			w.answer(contract.RPCJobsGet, refuses(fault.NotFoundf("Job not found")))
			c := g.role(identity.Operator)
			for _, mode := range []string{"async", "sync"} {
				r := c.send(http.MethodPost, submitURL, `{"job_type":"analyze","idempotency_key":"`+mode+`","execution_mode":"`+mode+`"}`)
				r.fails(http.StatusServiceUnavailable, "unavailable")
				require.Equal(t, "2", r.header.Get("Retry-After"))
			}
			// Nothing is kept, and the same request goes through once it can.
			mends(t, w)
			w.recorder()
			id := c.submit(http.StatusOK, `{"job_type":"analyze","idempotency_key":"async"}`).JobID
			require.Equal(t, id, testkit.Receive(t, w.recorded).JobID)
			require.Empty(t, w.recorded)
		})
	}
}

// limitStream bounds the messages of a stream.
func limitStream(t testing.TB, w *world, name string, messages int64) {
	t.Helper()
	stream, err := w.js.Stream(t.Context(), name)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgs = messages
	_, err = w.js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
}

// mends brings all streams back as they should be, without what was in the way.
func mends(t testing.TB, w *world) {
	t.Helper()
	stream, err := w.js.Stream(t.Context(), contract.StreamCommands)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		require.NoError(t, err)
		require.NoError(t, stream.Purge(t.Context()))
		limitStream(t, w, contract.StreamCommands, -1)
	}
	require.NoError(t, bus.Provision(t.Context(), w.js, contract.Streams(), contract.Consumers(testkit.Lease)))
}
