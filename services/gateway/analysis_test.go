package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

const analyzeURL = "/api/v1/analyze"

func withShadows(c *gateway.Config) { c.ShadowEnabled = true }

func analyzeBody(fields string) string {
	return fmt.Sprintf(`{"document_id":%q%s}`, uuid.NewString(), fields)
}

// analyzing posts and hands over the answer.
func (c client) analyzing(body string) <-chan reply {
	ch := make(chan reply, 1)
	go func() { ch <- c.try(http.MethodPost, analyzeURL, body) }()
	return ch
}

// analysis is the answer of an analysis, every field of it.
type analysis struct {
	AnalysisRunID    *string                    `json:"analysis_run_id"`
	Mode             string                     `json:"mode"`
	Layers           map[string]json.RawMessage `json:"layers"`
	ConfidenceBundle map[string]float64         `json:"confidence_bundle"`
	HypergraphIDs    map[string]any             `json:"hypergraph_ids"`
	PluginProvenance map[string]struct {
		Provider       string  `json:"provider_name"`
		Version        string  `json:"provider_version"`
		RuntimeMS      *int64  `json:"runtime_ms"`
		FallbackReason *string `json:"fallback_reason"`
	} `json:"plugin_provenance"`
	JobID  *string `json:"job_id"`
	Status string  `json:"status"`
}

// finishAnalysis lets a job leave a run of one layer, which is its id.
func (w *world) finishAnalysis(jobID string) string {
	w.t.Helper()
	run := uuid.NewString()
	w.answer(contract.RPCJobsGet, always(contract.Job{
		JobSummary: contract.JobSummary{JobID: jobID, Status: contract.StatusSucceeded}, Result: json.RawMessage(`{"analysis_run_id":"` + run + `"}`),
	}))
	w.answer(contract.RPCPluginsRun, always(contract.AnalysisRun{
		AnalysisRunSummary: contract.AnalysisRunSummary{AnalysisRunID: run, JobID: jobID, Mode: "PUBLIC"},
		HypergraphIDs:      contract.HypergraphIDs{DocumentNodeID: "doc:1", AtomNodeIDs: []string{}},
		LayerOutputs: []contract.LayerOutput{{
			Layer: "token", Confidence: .72, Output: json.RawMessage(`{"token_count":1}`), LayerProvenance: contract.LayerProvenance{Provider: "deterministic", Version: "2.0"},
		}},
	}))
	w.finish(jobID, contract.StatusSucceeded)
	return run
}

func TestAnalyzeWaitsForItsJob(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	answer := g.role(identity.Operator).analyzing(analyzeBody(`,"layers":["token"],"mode":"PUBLIC","plugin_profile":"ml_first"`))
	job := testkit.Receive(t, w.recorded)
	require.Equal(t, contract.JobAnalyze, job.JobType)
	require.Equal(t, contract.ModeSync, job.ExecutionMode)
	var payload contract.AnalyzePayload
	require.NoError(t, json.Unmarshal(job.Payload, &payload))
	require.Equal(t, "ml_first", payload.PluginProfile)
	require.Equal(t, []string{"token"}, payload.Layers)
	run := w.finishAnalysis(job.JobID)
	var out analysis
	testkit.Receive(t, answer).is(http.StatusOK, &out)
	require.Equal(t, run, *out.AnalysisRunID)
	require.Equal(t, "completed", out.Status)
	require.Nil(t, out.JobID)
	require.Equal(t, map[string]float64{"token": .72}, out.ConfidenceBundle)
	require.JSONEq(t, `{"token_count":1}`, string(out.Layers["token"]))
	require.Equal(t, "deterministic", out.PluginProvenance["token"].Provider)
	require.NotNil(t, out.PluginProvenance["token"].RuntimeMS)
	require.Equal(t, "doc:1", out.HypergraphIDs["document_node_id"])
}

func TestAnalyzeAsync(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	var out analysis
	g.role(identity.Operator).send(http.MethodPost, analyzeURL, analyzeBody(`,"execution_mode":"async"`)).is(http.StatusOK, &out)
	job := testkit.Receive(t, w.recorded)
	require.Equal(t, analysis{
		Mode: "PUBLIC", Layers: map[string]json.RawMessage{}, ConfidenceBundle: map[string]float64{}, HypergraphIDs: map[string]any{},
		PluginProvenance: out.PluginProvenance, JobID: &job.JobID, Status: "queued",
	}, out)
	require.Empty(t, out.PluginProvenance)
	require.NotNil(t, out.PluginProvenance)
}

// TestAnalyzeTellsTheFaultOfItsJob: what a job failed with has the status that it
// would have at once.
func TestAnalyzeTellsTheFaultOfItsJob(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	for _, failed := range []struct {
		kind, code, text string
		status           int
		detail           string
	}{
		{"not_found", "not_found", "Document not found", 404, "Document not found"},
		{"conflict", "conflict", "Document x is in conflict", 409, "Document x is in conflict"},
		{"invalid", "validation_error", `unknown layer "x"`, 400, `unknown layer "x"`},
		{"", "", "run a plugin: dial tcp 10.0.0.7: connection refused (secret library)", 500, ""},
		{"forbidden", "forbidden", "the secret library is not ours", 500, ""},
	} {
		answer := g.role(identity.Operator).analyzing(analyzeBody(""))
		job := testkit.Receive(t, w.recorded)
		w.answer(contract.RPCJobsGet, always(contract.Job{JobSummary: contract.JobSummary{JobID: job.JobID, Status: contract.StatusFailed}, ErrorText: &failed.text, ErrorKind: &failed.kind, ErrorCode: &failed.code}))
		w.finish(job.JobID, contract.StatusFailed)
		r := testkit.Receive(t, answer).sound()
		code := failed.code
		if failed.status == 500 {
			code = "job_failed"
		}
		problem := r.fails(failed.status, code)
		if failed.detail != "" {
			require.Equal(t, failed.detail, problem.Detail)
		}
		require.NotContains(t, problem.Detail, "library")
	}
	answer := g.role(identity.Operator).analyzing(analyzeBody(""))
	job := testkit.Receive(t, w.recorded)
	w.answer(contract.RPCJobsGet, jobIn(contract.StatusCancelled))
	w.finish(job.JobID, contract.StatusCancelled)
	testkit.Receive(t, answer).fails(409, "conflict")
}

func TestAnalyzeRefusesAtOnce(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	one := uuid.NewString()
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{}`: {400, "validation_error"},
		`{"document_id":"` + one + `","branch_id":"` + one + `"}`: {400, "validation_error"},
		`{"document_id":"seven"}`:                                 {404, "not_found"},
		`{"branch_id":"seven"}`:                                   {404, "not_found"},
		`{"document_id":"` + one + `","mode":"SECRET"}`:           {422, "validation_error"},
		`{"document_id":"` + one + `","mode":"RAW"}`:              {403, "forbidden"},
		`{"document_id":"` + one + `","execution_mode":"later"}`:  {422, "validation_error"},
		`{"document_id":7}`:                                       {422, "validation_error"},
	} {
		g.role(identity.Operator).send(http.MethodPost, analyzeURL, body).fails(want.status, want.code)
	}
	require.Empty(t, w.recorded)
}

func TestAnalyzeAnswersWithItsJobWhenTheWaitEnds(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]answer{"running": jobIn(contract.StatusRunning), "nobody can say": refuses(fault.Unavailablef("Postgres does not answer."))} {
		w, g := start(t, with(impatient))
		w.answer(contract.RPCJobsGet, get)
		var out analysis
		g.role(identity.Operator).send(http.MethodPost, analyzeURL, analyzeBody("")).is(http.StatusAccepted, &out)
		require.NotNil(t, out.JobID, name)
		require.Nil(t, out.AnalysisRunID, name)
	}
}

// both receives a primary job and its shadow.
func (w *world) both() (primary, shadow contract.Submission) {
	w.t.Helper()
	primary = testkit.Receive(w.t, w.recorded)
	shadow = testkit.Receive(w.t, w.recorded)
	require.Equal(w.t, contract.ModeShadow, primary.ExecutionMode)
	require.Equal(w.t, contract.ModeAsync, shadow.ExecutionMode)
	require.Equal(w.t, contract.ShadowJobID(primary.JobID), shadow.JobID)
	require.Equal(w.t, contract.PriorityLow, shadow.Priority)
	require.Equal(w.t, primary.CreatedBy, shadow.CreatedBy)
	return primary, shadow
}

func TestAnalyzeInTheShadow(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(withShadows))
	for fields, profile := range map[string]string{
		``:                            "ml_first",
		`,"plugin_profile":"ml_only"`: "ml_only",
		`,"shadow_profile":"careful"`: "careful",
		`,"plugin_profile":"ml_only","shadow_profile":"careful"`: "careful",
	} {
		answer := g.role(identity.Researcher).analyzing(analyzeBody(`,"execution_mode":"shadow"` + fields))
		primary, shadow := w.both()
		var first, second contract.AnalyzePayload
		require.NoError(t, json.Unmarshal(primary.Payload, &first))
		require.NoError(t, json.Unmarshal(shadow.Payload, &second))
		require.Equal(t, first.DocumentID, second.DocumentID)
		require.Equal(t, profile, second.PluginProfile, fields)
		require.Equal(t, primary.JobID, second.ShadowOf)
		run := w.finishAnalysis(primary.JobID)
		var out analysis
		testkit.Receive(t, answer).is(http.StatusOK, &out)
		require.Equal(t, "shadow_queued", out.Status)
		require.Equal(t, shadow.JobID, *out.JobID)
		require.Equal(t, run, *out.AnalysisRunID)
		require.Len(t, out.Layers, 1)
	}
}

func TestSubmitInTheShadowMeansTheSame(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(withShadows))
	answer := g.role(identity.Researcher).background(`{"job_type":"analyze","execution_mode":"shadow","payload":{"document_id":"x"},"idempotency_key":"k"}`)
	primary, shadow := w.both()
	require.NotEmpty(t, shadow.IdempotencyKey)
	require.Equal(t, primary.RequestHash, shadow.RequestHash)
	w.finish(primary.JobID, contract.StatusSucceeded)
	var out struct {
		submitted
		ShadowJobID string `json:"shadow_job_id"`
	}
	testkit.Receive(t, answer).is(http.StatusOK, &out)
	require.Equal(t, submitted{JobID: primary.JobID, Status: "succeeded", JobType: "analyze", ExecutionMode: "shadow"}, out.submitted)
	require.Equal(t, shadow.JobID, out.ShadowJobID)
}

// TestShadowIsSyncWhereItIsOff by setting, by feature, by role.
func TestShadowIsSyncWhereItIsOff(t *testing.T) {
	t.Parallel()
	closed := always(contract.FeaturesReply{Features: []contract.Feature{{Name: contract.FeatureShadowExecution, MinRole: "researcher"}}})
	noAsync := func(c *gateway.Config) { c.ShadowEnabled, c.AsyncEnabled = true, false }
	for name, c := range map[string]struct {
		change   func(*gateway.Config)
		role     identity.Role
		features answer
	}{
		"setting": {func(*gateway.Config) {}, identity.Admin, nil},
		"feature": {withShadows, identity.Admin, closed},
		"role":    {withShadows, identity.Operator, nil},
		"async":   {noAsync, identity.Admin, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, g := start(t, with(c.change))
			if c.features != nil {
				w.answer(contract.RPCAuthFeatures, c.features)
			}
			answer := g.role(c.role).analyzing(analyzeBody(`,"execution_mode":"shadow"`))
			job := testkit.Receive(t, w.recorded)
			require.Equal(t, contract.ModeSync, job.ExecutionMode)
			w.finishAnalysis(job.JobID)
			var out analysis
			testkit.Receive(t, answer).is(http.StatusOK, &out)
			require.Equal(t, "completed", out.Status)
			require.Nil(t, out.JobID)
			require.Empty(t, w.recorded)
		})
	}
}

func TestARunBesideItsShadow(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	run, shadowRun, job := uuid.NewString(), uuid.NewString(), uuid.NewString()
	url := "/api/v1/analysis/runs/" + run + "/shadow"
	reply := contract.ShadowReply{ShadowJobID: job, Comparison: contract.ShadowComparison{Layers: map[string]contract.LayerDifference{}, ChangedLayers: []string{}}}
	w.answer(contract.RPCPluginsShadow, func(json.RawMessage) (any, error) { return reply, nil })
	w.answer(contract.RPCPluginsRun, func(data json.RawMessage) (any, error) {
		var req contract.AnalysisRunRequest
		err := json.Unmarshal(data, &req)
		return contract.AnalysisRun{AnalysisRunSummary: contract.AnalysisRunSummary{AnalysisRunID: req.AnalysisRunID}}, err
	})
	var out struct {
		Primary, Shadow map[string]any
		ShadowJobID     string `json:"shadow_job_id"`
		ShadowStatus    string `json:"shadow_status"`
		Comparison      map[string]json.RawMessage
	}
	c := g.role(identity.Viewer)
	for status, get := range map[string]answer{
		"running": jobIn(contract.StatusRunning), "failed": jobIn(contract.StatusFailed), "unknown": refuses(fault.NotFoundf("Job not found")),
	} {
		w.answer(contract.RPCJobsGet, get)
		out.Shadow = map[string]any{"left": "over"}
		c.send(http.MethodGet, url, "").is(http.StatusOK, &out)
		require.Equal(t, run, out.Primary["analysis_run_id"])
		for _, field := range []string{"layers", "confidence_bundle", "results", "run_metadata", "layer_outputs", "execution_mode", "plugin_profile", "created_at", "branch_id"} {
			require.Contains(t, out.Primary, field)
		}
		require.Nil(t, out.Shadow)
		require.Equal(t, job, out.ShadowJobID)
		require.Equal(t, status, out.ShadowStatus)
		require.JSONEq(t, `[]`, string(out.Comparison["changed_layers"]))
		require.JSONEq(t, `{}`, string(out.Comparison["layers"]))
	}
	reply.ShadowRunID = &shadowRun
	w.answer(contract.RPCJobsGet, jobIn(contract.StatusSucceeded))
	c.send(http.MethodGet, url, "").is(http.StatusOK, &out)
	require.Equal(t, shadowRun, out.Shadow["analysis_run_id"])
	require.Equal(t, "succeeded", out.ShadowStatus)

	w.answer(contract.RPCPluginsShadow, refuses(fault.NotFoundf("This analysis run has no shadow")))
	c.send(http.MethodGet, url, "").fails(http.StatusNotFound, "not_found")
}

func TestRhetoricalAnalysis(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	for body, want := range map[string]contract.RhetoricRequest{
		``:                             {},
		`{}`:                           {},
		`{"text":"Trust me."}`:         {Text: "Trust me."},
		`{"document_id":"d"}`:          {DocumentID: "d"},
		`{"audience_profile":{"a":1}}`: {},
	} {
		var out map[string]any
		c.send(http.MethodPost, "/api/v1/rhetorical_analysis", body).is(http.StatusOK, &out)
		for _, field := range []string{"ethos_score", "pathos_score", "logos_score", "strategies", "fallacies", "explainability"} {
			require.Contains(t, out, field)
		}
		require.Equal(t, want, lastRequest[contract.RhetoricRequest](w, contract.RPCPluginsRhetoric))
	}
	w.answer(contract.RPCPluginsRhetoric, refuses(fault.Conflictf("Document d is in conflict")))
	c.send(http.MethodPost, "/api/v1/rhetorical_analysis", `{"document_id":"d"}`).fails(http.StatusConflict, "conflict")
}
