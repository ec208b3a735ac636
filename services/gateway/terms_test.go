package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
)

const batchURL = "/api/v1/jobs/batch"

func TestTermsReachTheRecorder(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	at := w.clock.now().Add(time.Hour)
	g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch","priority":"high","run_at":"`+at.Format(time.RFC3339)+`","timeout_seconds":7,"tags":["team:a","b/c"]}`)
	s := testkit.Receive(t, w.recorded)
	require.Equal(t, contract.PriorityHigh, s.Priority)
	require.True(t, at.Equal(*s.RunAt))
	require.Equal(t, 7, s.TimeoutSeconds)
	require.Equal(t, []string{"team:a", "b/c"}, s.Tags)
	g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch","delay_seconds":1.5}`)
	require.InDelta(t, 1.5, testkit.Receive(t, w.recorded).DelaySeconds, 0)

	for body, want := range map[string]string{
		`"run_at":"` + at.Format(time.RFC3339) + `","delay_seconds":1`:                "exclude each other",
		`"run_at":"` + w.clock.now().Add(367*24*time.Hour).Format(time.RFC3339) + `"`: "366 days",
		`"tags":["a b"]`:   "a tag may hold",
		`"tags":["a","a"]`: "given twice",
		`"tags":[""]`:      "want 1 to 64",
		`"tags":["` + strings.Repeat("x", 65) + `"]`:                        "want 1 to 64",
		`"webhook":{"url":"ftp://example.com"}`:                             "webhook.url: its scheme",
		`"webhook":{"url":"https://ann:pw@example.com"}`:                    "webhook.url: it must not hold a user",
		`"webhook":{"url":"https://example.com","events":["job.progress"]}`: "webhook.events: unknown event 'job.progress'",
	} {
		r := g.role(identity.Operator).send(http.MethodPost, submitURL, `{"job_type":"ingest_batch",`+body+`}`)
		require.Contains(t, r.fails(http.StatusUnprocessableEntity, "validation_error").Detail, want, body)
	}
}

// What counts for an idempotency key is what the client sent.
func TestRequestHashIsOfWhatWasSent(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	hash := func(more string) string {
		g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch","idempotency_key":"k"`+more+`}`)
		return testkit.Receive(t, w.recorded).RequestHash
	}
	plain := hash("")
	require.Equal(t, plain, hash(`,"payload":{},"priority":"normal"`))
	require.Equal(t, hash(`,"tags":["a","b"]`), hash(`,"tags":["b","a"]`))
	seen := map[string]string{plain: "plain"}
	for _, more := range []string{
		`,"payload":{"a":1}`, `,"execution_mode":"async","max_attempts":4`, `,"priority":"low"`, `,"delay_seconds":0`, `,"delay_seconds":60`,
		`,"run_at":"2026-05-01T12:00:00Z"`, `,"timeout_seconds":5`, `,"tags":["a"]`,
	} {
		h := hash(more)
		require.NotContains(t, seen, h, "%s is the same as %s", more, seen[h])
		seen[h] = more
	}
	w.clock.advance(time.Minute)
	first := hash(`,"delay_seconds":60`)
	require.Equal(t, first, hash(`,"delay_seconds":60`))
}

func TestBatchIsOneCommand(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	var out struct{ Jobs []submitted }
	c.send(http.MethodPost, batchURL, `{"jobs":[{"job_type":"ingest_batch"},{"job_type":"analyze","idempotency_key":"k"},{"job_type":"analyze","priority":"low"}]}`).is(http.StatusOK, &out)
	require.Len(t, out.Jobs, 3)
	for _, job := range out.Jobs {
		require.Equal(t, job.JobID, testkit.Receive(t, w.recorded).JobID, "in the order they were given")
	}
	for body, want := range map[string]string{
		`{"jobs":[]}`: "",
		`{"jobs":[{"job_type":"ingest_batch"},{"job_type":"ingest_batch","execution_mode":"sync"}]}`: "jobs[1]: execution_mode",
		`{"jobs":[{"job_type":"ingest_batch"},{"job_type":"ingest_batch","tags":["a b"]}]}`:          "jobs[1]: a tag",
		`{"jobs":[{"job_type":"ingest_batch","payload":[]}]}`:                                        "jobs[0]: payload",
	} {
		require.Contains(t, c.send(http.MethodPost, batchURL, body).fails(http.StatusUnprocessableEntity, "validation_error").Detail, want, body)
	}
	require.Contains(t, c.send(http.MethodPost, batchURL, `{"jobs":[{"job_type":"nope"}]}`).fails(http.StatusBadRequest, "unknown_job_type").Detail, "jobs[0]: Unknown job_type")
	many := strings.TrimSuffix(strings.Repeat(`{"job_type":"analyze"},`, 1001), ",")
	c.send(http.MethodPost, batchURL, `{"jobs":[`+many+`]}`).fails(http.StatusUnprocessableEntity, "validation_error")
	require.Empty(t, w.recorded)

	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		v := contract.SubmitVerdict{JobID: s.JobID, Code: contract.CodeNotRecorded}
		if s.IdempotencyKey == "taken" {
			v.Code, v.Detail = contract.CodeConflict, "Another request."
		}
		return v, true
	})
	p := c.send(http.MethodPost, batchURL, `{"jobs":[{"job_type":"analyze"},{"job_type":"analyze","idempotency_key":"taken"}]}`).fails(http.StatusConflict, "conflict")
	require.Equal(t, "jobs[1]: Another request.", p.Detail)
}

func TestPayloadsFollowTheSchemaOfTheirType(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	schema := `{"type":"object","required":["leaf"],"properties":{"leaf":{"type":"string"},"cups":{"type":"integer","maximum":4}},"additionalProperties":false}`
	w.answer(contract.RPCJobsTypes, always(contract.JobTypesReply{JobTypes: []contract.JobType{{
		Name: "brew_tea", Queue: "kitchen", MaxAttempts: 2, Enabled: true, MinRole: "researcher", PayloadSchema: json.RawMessage(schema),
	}}}))
	submit := func(role identity.Role, payload string) reply {
		return g.role(role).send(http.MethodPost, submitURL, `{"job_type":"brew_tea","payload":`+payload+`}`)
	}
	submit(identity.Researcher, `{"leaf":"green","cups":3}`).is(http.StatusOK, nil)
	submit(identity.Operator, `{"leaf":"green"}`).fails(http.StatusForbidden, "forbidden")
	for payload, field := range map[string]string{`{"leaf":7}`: "payload.leaf", `{"leaf":"x","cups":9}`: "payload.cups", `{}`: "leaf", `{"leaf":"x","milk":true}`: "milk"} {
		require.Contains(t, submit(identity.Researcher, payload).fails(http.StatusUnprocessableEntity, "validation_error").Detail, field, payload)
	}
}

func TestJobTypesAreMadeAndChanged(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	const url = "/api/v1/job-types"
	var made contract.JobType
	c.send(http.MethodPost, url, `{"name":"brew_tea","queue":"kitchen","payload_schema":{"type":"object"},"backoff_seconds":[1,2]}`).is(http.StatusOK, &made)
	require.Equal(t, contract.JobType{
		Name: "brew_tea", Queue: "kitchen", MaxAttempts: 3, TimeoutSeconds: 300, RunsPerMessage: 1, BackoffSeconds: []int{1, 2}, MinRole: "operator",
		PayloadSchema: json.RawMessage(`{"type":"object"}`), Enabled: true,
	}, made)
	c.send(http.MethodPatch, url+"/analyze", `{"max_attempts":9}`).is(http.StatusOK, &made)
	require.Equal(t, contract.QueuePlugins, made.Queue)
	require.Equal(t, 9, made.MaxAttempts)
	require.True(t, made.ModeGated, "what is not said stays as it is")
	c.send(http.MethodPut, url+"/analyze", `{"max_attempts":9}`).is(http.StatusOK, &made)
	require.False(t, made.ModeGated, "what is not said gets its default")
	c.send(http.MethodPatch, url+"/nope", `{}`).fails(http.StatusNotFound, "not_found")
	for _, bad := range []string{
		`"name":"a b","queue":"q"`, `"name":"a"`, `"name":"a","queue":"q.r"`, `"name":"a","queue":"q","max_attempts":11`, `"name":"a","queue":"q","backoff_seconds":[-1]`,
		`"name":"a","queue":"q","payload_schema":{"type":"nonsense"}`, `"name":"a","queue":"q","payload_schema":7`,
		`"name":"a","queue":"q","payload_schema":{"$ref":"https://example.org/s.json"}`, `"name":"a","queue":"q","payload_schema":{"$ref":"file:///etc/passwd"}`,
		`"name":"a","queue":"q","payload_schema":{"pattern":"("}`, `"name":"a","queue":"q","min_role":"viewer"`,
		fmt.Sprintf(`"name":"a","queue":"q","payload_schema":{"description":"%s"}`, strings.Repeat("x", 64<<10)),
	} {
		c.send(http.MethodPost, url, `{`+bad+`}`).fails(http.StatusUnprocessableEntity, "validation_error")
	}
}
