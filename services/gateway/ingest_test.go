package gateway_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/ingestid"
	"nexus.internal/libs/testkit"
)

const ingestPath = "/api/v1/ingest/batch"

// ended answers for a job that has ended.
func ended(status contract.Status, change func(*contract.Job)) answer {
	return func(data json.RawMessage) (any, error) {
		var req contract.JobRequest
		if err := json.Unmarshal(data, &req); err != nil {
			return nil, err
		}
		job := contract.Job{JobSummary: contract.JobSummary{JobID: req.JobID, Status: status}}
		change(&job)
		return job, nil
	}
}

func TestIngestBatchAnswersWithItsResult(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	want := contract.IngestBatchResult{
		IngestJobID: "5f0c3f2e-7a2d-5f0a-9c55-0c4f3c9f0a11", DocumentsIngested: 2, DocumentsUnchanged: 1, AtomsCreated: 7, ProvenanceDigest: "d", IngestScope: contract.ScopePartial,
		Warnings: []string{"odd"}, Status: contract.IngestCompletedWithErrors, Errors: []string{"bad"},
	}
	result, err := json.Marshal(want)
	require.NoError(t, err)
	w.answer(contract.RPCJobsGet, ended(contract.StatusSucceeded, func(j *contract.Job) { j.Result = result }))
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		w.finish(s.JobID, contract.StatusSucceeded)
		return queued(s)
	})
	var got struct {
		contract.IngestBatchResult
		JobID string `json:"job_id"`
	}
	g.role(identity.Operator).send(http.MethodPost, ingestPath, `{"source_paths":["a.md","b"],"modalities":["text"],"parse_options":{"force":true},"atom_tracks":["literary"]}`).
		is(http.StatusOK, &got)
	require.Equal(t, want, got.IngestBatchResult)
	job := testkit.Receive(t, w.recorded)
	require.Equal(t, job.JobID, got.JobID)
	require.Equal(t, contract.JobIngestBatch, job.JobType)
	require.Equal(t, contract.ModeSync, job.ExecutionMode)
	require.JSONEq(t, `{"source_paths":["a.md","b"],"modalities":["text"],"parse_options":{"force":true},"atom_tracks":["literary"]}`, string(job.Payload))

	g.role(identity.Operator).send(http.MethodPost, ingestPath, `{}`).is(http.StatusOK, nil)
	require.JSONEq(t, `{}`, string(testkit.Receive(t, w.recorded).Payload))
	g.role(identity.Viewer).send(http.MethodPost, ingestPath, `{}`).fails(http.StatusForbidden, "forbidden")
	g.role(identity.Operator).send(http.MethodPost, ingestPath, `{"source_paths":"a.md"}`).fails(http.StatusUnprocessableEntity, "validation_error")
	g.role(identity.Operator).send(http.MethodPost, ingestPath, `{"source_path":["a.md"]}`).fails(http.StatusUnprocessableEntity, "validation_error")
}

// What a caller did wrong is the caller's to know, not that there was a job.
func TestFaultsOfWaitedJobs(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		w.finish(s.JobID, contract.StatusFailed)
		return queued(s)
	})
	text := func(s string) *string { return &s }
	for name, tc := range map[string]struct {
		status       contract.Status
		kind, code   *string
		http         int
		answers, say string
	}{
		"outside the root": {contract.StatusFailed, text("invalid"), text("escapes_corpus_root"), http.StatusBadRequest, "escapes_corpus_root", `path "../x" escapes corpus_root`},
		"not there":        {contract.StatusFailed, text("not_found"), text("not_found"), http.StatusNotFound, "not_found", `path "../x" escapes corpus_root`},
		"in conflict":      {contract.StatusFailed, text("conflict"), text("conflict"), http.StatusConflict, "conflict", `path "../x" escapes corpus_root`},
		"too much":         {contract.StatusFailed, text("too_large"), text("too_large"), http.StatusRequestEntityTooLarge, "too_large", `path "../x" escapes corpus_root`},
		"away":             {contract.StatusFailed, text("unavailable"), text("corpus_root_missing"), http.StatusServiceUnavailable, "corpus_root_missing", `path "../x" escapes corpus_root`},
		"no fault":         {contract.StatusFailed, nil, nil, http.StatusInternalServerError, "job_failed", "its error_text says why"},
		"of its own":       {contract.StatusFailed, text("internal"), text("internal"), http.StatusInternalServerError, "job_failed", "its error_text says why"},
		"not the caller's": {contract.StatusFailed, text("unauthenticated"), text("unauthorized"), http.StatusInternalServerError, "job_failed", "its error_text says why"},
		"cancelled":        {contract.StatusCancelled, nil, nil, http.StatusConflict, "conflict", "was cancelled"},
	} {
		w.answer(contract.RPCJobsGet, ended(tc.status, func(j *contract.Job) {
			j.ErrorText, j.ErrorKind, j.ErrorCode = text(`path "../x" escapes corpus_root`), tc.kind, tc.code
		}))
		reply := g.role(identity.Operator).send(http.MethodPost, ingestPath, `{"source_paths":["../x"]}`)
		problem := reply.fails(tc.http, tc.answers)
		require.Contains(t, problem.Detail, tc.say, name)
	}
}

func TestIngestThatOutlastsTheWait(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(impatient))
	w.judges(queued)
	var got map[string]any
	g.role(identity.Operator).send(http.MethodPost, ingestPath, `{}`).is(http.StatusAccepted, &got)
	job := testkit.Receive(t, w.recorded)
	require.Equal(t, job.JobID, got["job_id"])
	require.Equal(t, ingestid.Of(job.JobID).String(), got["ingest_job_id"])
	require.Equal(t, "running", got["status"])
	require.Equal(t, "full", got["ingest_scope"])
	require.Equal(t, []any{}, got["warnings"])
	require.Equal(t, []any{}, got["errors"])
}
