package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
)

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	visible := make([]byte, 0, 94)
	for c := byte('!'); c <= '~'; c++ {
		visible = append(visible, c)
	}
	paths := map[string]string{"operation": "/healthz", "refused": "/api/v1/auth/whoami", "invalid": "/api/v1/jobs?limit=x", "unknown": "/nowhere"}
	for name, path := range paths {
		for _, sane := range []string{"a", "my-request_1.2", strings.Repeat("x", 128), string(visible)} {
			require.Equal(t, sane, g.nobody().send(http.MethodGet, path, "", requestID, sane).header.Get(requestID), "%s: %q", name, sane)
		}
		for _, bad := range []string{"", strings.Repeat("x", 129), strings.Repeat("x", 3000), "a b", "a\tb", "é", "a\u00a0b"} {
			got := g.nobody().send(http.MethodGet, path, "", requestID, bad).header.Get(requestID)
			require.NoError(t, uuid.Validate(got), "%s: %q became %q", name, bad, got)
		}
	}
	first := g.nobody().send(http.MethodGet, "/healthz", "").header.Get(requestID)
	require.NotEqual(t, first, g.nobody().send(http.MethodGet, "/healthz", "").header.Get(requestID))
}

// No HTTP library sends control characters; an attacker does.
func TestControlCharactersInRequestIDs(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	for _, bad := range []string{"a\x01b", "a\x7fb", "a\x1b[31mb", "a\x80b", "a\xffb"} {
		r := g.raw("GET /api/v1/auth/whoami HTTP/1.1\r\nHost: x\r\nX-Request-ID: " + bad + "\r\n\r\n")
		if r.status != http.StatusBadRequest {
			r.fails(http.StatusUnauthorized, "unauthorized")
		}
		require.NoError(t, uuid.Validate(r.header.Get(requestID)), "%q", bad)
	}
	// Nothing that is sent can end the header and begin another.
	for _, bad := range []string{"a\r\n X-Forged: yes", "a\rX-Forged: yes", "a\nX-Forged: yes"} {
		r := g.raw("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: " + bad + "\r\n\r\n")
		require.Empty(t, r.header.Get("X-Forged"), "%q", bad)
	}
}

func TestErrorsBeforeAnyOperation(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/nowhere", "", 404, "not_found"},
		{"POST", "/nowhere", "{}", 404, "not_found"},
		{"GET", "/api/v1/jobs/", "", 404, "not_found"},
		{"GET", "/API/v1/jobs", "", 404, "not_found"},
		{"GET", "//healthz", "", 404, "not_found"},
		{"GET", "/api/v1/jobs/../../healthz/x", "", 404, "not_found"},
		{"GET", "/schemas/Problem.json", "", 404, "not_found"},
		{"DELETE", "/api/v1/jobs", "", 405, "method_not_allowed"},
		{"PUT", "/api/v1/jobs/submit", "{}", 405, "method_not_allowed"},
		{"POST", "/healthz", "{}", 405, "method_not_allowed"},
		{"POST", "/docs", "{}", 405, "method_not_allowed"},
		{"OPTIONS", "/healthz", "", 405, "method_not_allowed"},
		{"POST", submitURL, strings.Repeat("x", 1<<20+1), 413, "too_large"},
		{"GET", "/" + strings.Repeat("x", 20<<10), "", 431, "bad_request"},
	} {
		r := c.send(tc.method, tc.path, tc.body)
		r.fails(tc.status, tc.code)
		if tc.status == http.StatusMethodNotAllowed {
			require.NotEmpty(t, r.header.Get("Allow"), r.what)
		}
	}
	r := c.send(http.MethodGet, "/healthz", "", "Cookie", strings.Repeat("x", 20<<10))
	r.fails(http.StatusRequestHeaderFieldsTooLarge, "bad_request")
	for _, garbage := range []string{"GARBAGE\r\n\r\n", "GET /healthz HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n"} {
		g.raw(garbage).fails(http.StatusBadRequest, "validation_error")
	}
}

func TestBodiesThatAreNotASubmit(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Admin)
	for _, tc := range []struct {
		body     string
		status   int
		location string
	}{
		{`{`, 400, ""},
		{`{"job_type":"analyze",}`, 400, ""},
		{`{"job_type":"analyze"} x`, 400, ""},
		{`{"job_type":"analyze"}{}`, 400, ""},
		{"\x00", 400, ""},
		{`{"job_type":"\xff`, 400, ""},
		{strings.Repeat("[", 200_000), 400, ""},
		{`""`, 422, "body"},
		{`[]`, 422, "body"},
		{`7`, 422, "body"},
		{`{}`, 422, "body"},
		{`{"payload":{}}`, 422, "body"},
		{`{"job_type":null}`, 422, "body.job_type"},
		{`{"job_type":""}`, 422, "body.job_type"},
		{`{"job_type":7}`, 422, "body.job_type"},
		{`{"job_type":["analyze"]}`, 422, "body.job_type"},
		{`{"job_type":"` + strings.Repeat("x", 65) + `"}`, 422, "body.job_type"},
		{`{"job_type":"analyze","priority":"urgent"}`, 422, "body.priority"},
		{`{"job_type":"analyze","run_at":"tomorrow"}`, 422, "body.run_at"},
		{`{"job_type":"analyze","delay_seconds":-1}`, 422, "body.delay_seconds"},
		{`{"job_type":"analyze","timeout_seconds":0}`, 422, "body.timeout_seconds"},
		{`{"job_type":"analyze","timeout_seconds":86401}`, 422, "body.timeout_seconds"},
		{`{"job_type":"analyze","tags":"a"}`, 422, "body.tags"},
		{`{"job_type":"analyze","created_by":"root"}`, 422, "body.created_by"},
		{`{"job_type":"analyze","job_id":"` + uuid.NewString() + `"}`, 422, "body.job_id"},
		{`{"job_type":"ingest_batch","execution_mode":"shadow"}`, 422, ""},
		{`{"job_type":"analyze","execution_mode":"later"}`, 422, "body.execution_mode"},
		{`{"job_type":"analyze","execution_mode":""}`, 422, "body.execution_mode"},
		{`{"job_type":"analyze","execution_mode":1}`, 422, "body.execution_mode"},
		{`{"job_type":"analyze","max_attempts":0}`, 422, "body.max_attempts"},
		{`{"job_type":"analyze","max_attempts":11}`, 422, "body.max_attempts"},
		{`{"job_type":"analyze","max_attempts":-1}`, 422, "body.max_attempts"},
		{`{"job_type":"analyze","max_attempts":2.5}`, 422, "body.max_attempts"},
		{`{"job_type":"analyze","max_attempts":"3"}`, 422, "body.max_attempts"},
		{`{"job_type":"analyze","idempotency_key":7}`, 422, "body.idempotency_key"},
		{`{"job_type":"analyze","idempotency_key":"` + strings.Repeat("k", 201) + `"}`, 422, "body.idempotency_key"},
		{`{"job_type":"analyze","idempotency_key":"` + strings.Repeat("é", 101) + `"}`, 422, ""},
		{`{"job_type":"analyze","idempotency_key":"a\u0000b"}`, 422, ""},
		{`{"job_type":"analyze","idempotency_key":"a\nb"}`, 422, ""},
	} {
		p := c.send(http.MethodPost, submitURL, tc.body).fails(tc.status, "validation_error")
		if tc.location != "" {
			require.NotEmpty(t, p.Errors, "%.100s", tc.body)
			require.Equal(t, tc.location, p.Errors[0].Location, "%.100s", tc.body)
			require.Equal(t, p.Errors[0].Location+": "+p.Errors[0].Message, p.Detail)
		}
		require.NotContains(t, p.Detail, "\x00")
	}
	c.send(http.MethodPost, submitURL, "").fails(http.StatusBadRequest, "validation_error")
	c.send(http.MethodPost, submitURL, `{"job_type":"analyze"}`, "Content-Type", "text/plain").fails(http.StatusUnsupportedMediaType, "bad_request")
	c.send(http.MethodPost, submitURL, `<job/>`, "Content-Type", "application/xml").fails(http.StatusUnsupportedMediaType, "bad_request")
	require.Empty(t, w.recorded, "none of it reached the recorder")
}

func TestParametersThatAreRefused(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Admin)
	for _, list := range []string{"/api/v1/jobs", "/api/v1/documents", "/api/v1/analysis/runs"} {
		for _, bad := range []string{
			"limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=1.5", "limit=99999999999999999999", "limit=0x10",
			"offset=-1", "offset=10000001", "offset=all", "offset=1e3",
		} {
			p := c.send(http.MethodGet, list+"?"+bad, "").fails(http.StatusUnprocessableEntity, "validation_error")
			require.Equal(t, "query."+strings.Split(bad, "=")[0], p.Errors[0].Location, "%s?%s", list, bad)
		}
		for _, good := range []string{"", "limit=1", "limit=1000&offset=10000000", "offset=0", "unknown=1"} {
			c.send(http.MethodGet, list+"?"+good, "").is(http.StatusOK, nil)
		}
	}
	for _, bad := range []string{
		"status=done", "status=accepted", "status=QUEUED", "status=queued,failed",
		"created_after=yesterday", "created_after=2026-05-01", "created_after=2026-05-01T12:00:00", "created_after=2026-13-01T12:00:00Z",
		"created_before=1777636800", "created_before=2026-05-01T25:00:00Z",
		"job_type=" + strings.Repeat("x", 65), "created_by=" + strings.Repeat("x", 65),
	} {
		p := c.send(http.MethodGet, "/api/v1/jobs?"+bad, "").fails(http.StatusUnprocessableEntity, "validation_error")
		require.Equal(t, "query."+strings.Split(bad, "=")[0], p.Errors[0].Location, bad)
	}
	c.send(http.MethodGet, "/api/v1/analysis/runs?document_id=x", "").fails(http.StatusUnprocessableEntity, "validation_error")
	// What cannot exist does not exist, in the words of the service that would
	// have looked for it.
	missing := []string{
		"Job not found", "Document not found", "Ingest job not found", "Analysis run not found", "Key not found", "Webhook not found", "There is no such dead letter.",
		"Branch not found", "Remix not found",
	}
	for path, sentence := range map[string]string{"documents/does-not-exist": missing[1], "jobs/does-not-exist": missing[0], "ingest/jobs/x": missing[2], "analysis/runs/x": missing[3]} {
		require.Equal(t, sentence, c.send(http.MethodGet, "/api/v1/"+path, "").fails(http.StatusNotFound, "not_found").Detail)
	}
	p := c.send(http.MethodPost, "/api/v1/webhooks/"+uuid.NewString()+"/deliveries/x/redeliver", "").fails(http.StatusNotFound, "not_found")
	require.Equal(t, "Delivery not found", p.Detail)
	for _, o := range operations() {
		if !strings.Contains(o.path, "{id}") {
			continue
		}
		for _, bad := range []string{"x", "0", uuid.NewString() + "0", uuid.NewString()[1:], "%00", "..%2f..%2fetc%2fpasswd", "'; DROP TABLE jobs; --", strings.Repeat("a", 5000)} {
			path := strings.NewReplacer("{id}", strings.ReplaceAll(bad, " ", "%20"), "{delivery}", uuid.NewString(), "{other}", uuid.NewString(), "{number}", "1").Replace(o.path)
			p := c.send(o.method, path, o.body).fails(http.StatusNotFound, "not_found")
			require.Contains(t, missing, p.Detail, "%s %q", o.path, bad)
			require.Empty(t, p.Errors, "%s %q", o.path, bad)
		}
	}
	for _, subject := range []string{contract.RPCJobsGet, contract.RPCJobsCancel, contract.RPCCorpusDocument, contract.RPCCorpusIngestJob, contract.RPCPluginsRun} {
		require.Empty(t, w.requests(subject), "nobody was asked for what cannot be")
	}
}

func TestFaultsOfServicesBecomeProblems(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Viewer)
	read := func() reply { return c.send(http.MethodGet, "/api/v1/documents/"+uuid.NewString(), "") }
	for kind, status := range map[fault.Kind]int{
		fault.Invalid: 400, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404, fault.Conflict: 409, fault.TooLarge: 413,
		fault.Unprocessable: 422, fault.RateLimited: 429, fault.Internal: 500, fault.Unavailable: 503,
	} {
		w.answer(contract.RPCCorpusDocument, refuses(fault.New(kind, "its_code", "A sentence.")))
		require.Equal(t, "A sentence.", read().fails(status, "its_code").Detail, kind)
	}
	w.answer(contract.RPCCorpusDocument, refuses(&fault.Error{
		Kind: fault.Unprocessable, Code: "validation_error", Detail: "Two things.",
		Fields: []fault.Field{{Location: "a", Message: "first"}, {Location: "b", Message: "second"}},
	}))
	p := read().fails(http.StatusUnprocessableEntity, "validation_error")
	require.Equal(t, "[{a first} {b second}]", fmt.Sprint(p.Errors))

	// What has no kind stays inside.
	w.answer(contract.RPCCorpusDocument, refuses(errors.New("pq: password of nexus_corpus")))
	require.NotContains(t, read().fails(http.StatusInternalServerError, "internal").Detail, "password")
	w.answer(contract.RPCCorpusDocument, refuses(fault.New("strange", "", "A new kind.")))
	require.Equal(t, http.StatusInternalServerError, read().status)
	w.answer(contract.RPCCorpusDocument, always("not a document"))
	read().fails(http.StatusInternalServerError, "internal")
	w.answer(contract.RPCCorpusDocument, func(json.RawMessage) (any, error) { panic("boom") })
	read().fails(http.StatusInternalServerError, "internal")

	w.stop["corpus"]()
	read().fails(http.StatusServiceUnavailable, "unavailable")
}

func TestQueriesReachTheServices(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	id := uuid.NewString()
	get := func(path string) { c.send(http.MethodGet, path, "").is(http.StatusOK, nil) }

	get("/api/v1/jobs?status=queued&job_type=analyze&created_by=ann&limit=7&offset=3&created_after=2026-05-01T12:00:00%2B02:00&created_before=2026-06-01T00:00:00.5Z")
	q := lastRequest[contract.ListJobsRequest](w, contract.RPCJobsList)
	require.Equal(t, "2026-05-01T10:00:00Z 2026-06-01T00:00:00.5Z", q.CreatedAfter.UTC().Format(time.RFC3339Nano)+" "+q.CreatedBefore.UTC().Format(time.RFC3339Nano))
	q.CreatedAfter, q.CreatedBefore = nil, nil
	require.Equal(t, contract.ListJobsRequest{Status: "queued", JobType: "analyze", CreatedBy: "ann", Limit: 7, Offset: 3}, q)
	get("/api/v1/jobs")
	require.Equal(t, contract.ListJobsRequest{Limit: 100}, lastRequest[contract.ListJobsRequest](w, contract.RPCJobsList))
	get("/api/v1/documents?limit=5&offset=6")
	require.Equal(t, contract.DocumentsRequest{Limit: 5, Offset: 6}, lastRequest[contract.DocumentsRequest](w, contract.RPCCorpusDocuments))
	get("/api/v1/documents/" + id)
	require.Equal(t, contract.DocumentRequest{DocumentID: id}, lastRequest[contract.DocumentRequest](w, contract.RPCCorpusDocument))
	get("/api/v1/ingest/jobs/" + id)
	require.Equal(t, contract.IngestJobRequest{IngestJobID: id}, lastRequest[contract.IngestJobRequest](w, contract.RPCCorpusIngestJob))
	get("/api/v1/ingest/jobs/" + id + "?offset=2500&limit=10")
	require.Equal(t, contract.IngestJobRequest{IngestJobID: id, FilesOffset: 2500, FilesLimit: 10}, lastRequest[contract.IngestJobRequest](w, contract.RPCCorpusIngestJob))
	get("/api/v1/analysis/runs?document_id=" + id)
	require.Equal(t, contract.AnalysisRunsRequest{DocumentID: id, Limit: 100}, lastRequest[contract.AnalysisRunsRequest](w, contract.RPCPluginsRuns))
	get("/api/v1/analysis/runs/" + id)
	require.Equal(t, contract.AnalysisRunRequest{AnalysisRunID: id}, lastRequest[contract.AnalysisRunRequest](w, contract.RPCPluginsRun))
	get("/api/v1/jobs/" + id)
	require.Equal(t, contract.JobRequest{JobID: id}, lastRequest[contract.JobRequest](w, contract.RPCJobsGet))
	c.send(http.MethodPost, "/api/v1/jobs/"+id+"/cancel", "", requestID, "cancel-1").is(http.StatusOK, nil)
	require.Equal(t, contract.JobRequest{JobID: id, Actor: ownerOf(identity.Operator), RequestID: "cancel-1"}, lastRequest[contract.JobRequest](w, contract.RPCJobsCancel))
}
