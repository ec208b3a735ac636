package query_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	corpusreader "nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/fakecorpus"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
	"nexus.internal/services/plugins/internal/query"
	"nexus.internal/services/plugins/internal/store"
)

func start(t *testing.T) (*query.Answers, *store.Store) {
	t.Helper()
	registry, err := plugin.NewRegistry(layer.NewAnalyzer(),
		plugin.Limits{Timeout: time.Minute, OutputBytes: plugin.MinOutputBytes, Calls: 1, Failures: 5, RestFor: time.Minute},
		plugin.BuiltInProfiles(), noop.NewTracerProvider(), plugin.Deterministic{}, plugin.NewMLStub(false))
	require.NoError(t, err)
	runs := store.New(testkit.Postgres(t))
	return query.New(runs, registry, nil), runs
}

func save(t *testing.T, runs *store.Store, document string, outputs ...contract.LayerOutput) string {
	t.Helper()
	id := uuid.NewString()
	require.NoError(t, runs.Save(t.Context(), contract.AnalysisRun{
		AnalysisRunSummary: contract.AnalysisRunSummary{
			AnalysisRunID: id, JobID: uuid.NewString(), DocumentID: &document, Mode: "PUBLIC", ExecutionMode: contract.ModeSync, PluginProfile: "ml_only",
			Modality: contract.ModalityText, SourceChecksum: strings.Repeat("0", 64), CreatedBy: "dev-operator",
		},
		LayerOutputs: outputs,
	}))
	return id
}

func ids(reply contract.AnalysisRunsReply) []string {
	list := make([]string, len(reply.Runs))
	for i, run := range reply.Runs {
		list[i] = run.AnalysisRunID
	}
	return list
}

func TestRuns(t *testing.T) {
	t.Parallel()
	answers, runs := start(t)
	one, other := uuid.NewString(), uuid.NewString()
	first, second, third := save(t, runs, one), save(t, runs, other), save(t, runs, one)
	cases := map[string]struct {
		request       contract.AnalysisRunsRequest
		want          []string
		limit, offset int
	}{
		"all":             {contract.AnalysisRunsRequest{}, []string{third, second, first}, 100, 0},
		"one page":        {contract.AnalysisRunsRequest{Limit: 1, Offset: 1}, []string{second}, 1, 1},
		"most":            {contract.AnalysisRunsRequest{Limit: 1000}, []string{third, second, first}, 1000, 0},
		"of one document": {contract.AnalysisRunsRequest{DocumentID: one}, []string{third, first}, 100, 0},
		"of no document":  {contract.AnalysisRunsRequest{DocumentID: uuid.NewString()}, []string{}, 100, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := answers.Runs(t.Context(), c.request)
			require.NoError(t, err)
			require.Equal(t, c.want, ids(reply))
			require.Equal(t, c.limit, reply.Limit)
			require.Equal(t, c.offset, reply.Offset)
		})
	}
}

func TestRunsRefusesBadRequests(t *testing.T) {
	t.Parallel()
	answers, _ := start(t)
	for _, request := range []contract.AnalysisRunsRequest{
		{Limit: -1}, {Limit: 1001}, {Offset: -1}, {DocumentID: "one"},
	} {
		_, err := answers.Runs(t.Context(), request)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err), "%+v", request)
	}
}

// TestTheLongestPageFitsOneMessage weighs a page of runs that are as long as runs
// can be.
func TestTheLongestPageFitsOneMessage(t *testing.T) {
	t.Parallel()
	document := uuid.NewString()
	summary := contract.AnalysisRunSummary{
		AnalysisRunID: uuid.NewString(), JobID: uuid.NewString(), DocumentID: &document, Mode: "PUBLIC",
		PluginProfile: "deterministic", Modality: contract.ModalityBinary, SourceChecksum: strings.Repeat("0", 64),
		CreatedBy: strings.Repeat("o", contract.MaxToken), CreatedAt: time.Now().UTC(),
	}
	for _, name := range layer.Names() {
		summary.Layers = append(summary.Layers, string(name))
	}
	reply := contract.AnalysisRunsReply{}
	for range contract.MaxAnalysisRuns {
		reply.Runs = append(reply.Runs, summary)
	}
	encoded, err := json.Marshal(reply)
	require.NoError(t, err)
	require.Less(t, len(encoded), contract.MaxMessage)
}

func TestRun(t *testing.T) {
	t.Parallel()
	answers, runs := start(t)
	reason := "plugin_unsupported:ml_stub"
	output := contract.LayerOutput{
		Layer: "token", Confidence: .72, Output: json.RawMessage(`{"token_count":1}`),
		LayerProvenance: contract.LayerProvenance{Provider: "deterministic", Version: "2.0", FallbackReason: &reason},
	}
	id := save(t, runs, uuid.NewString(), output)
	run, err := answers.Run(t.Context(), contract.AnalysisRunRequest{AnalysisRunID: id})
	require.NoError(t, err)
	require.Equal(t, id, run.AnalysisRunID)
	require.Equal(t, []contract.LayerOutput{output}, run.LayerOutputs)
	encoded, err := json.Marshal(run.LayerOutputs[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"layer_name":"token","provider_name":"deterministic","provider_version":"2.0","runtime_ms":0,
		"fallback_reason":"plugin_unsupported:ml_stub","confidence":0.72,"output":{"token_count":1}}`, string(encoded))
}

func TestRunNotFound(t *testing.T) {
	t.Parallel()
	answers, _ := start(t)
	for _, id := range []string{"", "one", uuid.NewString()} {
		_, err := answers.Run(t.Context(), contract.AnalysisRunRequest{AnalysisRunID: id})
		require.Equal(t, fault.NotFound, fault.KindOf(err))
		require.EqualError(t, err, "Analysis run not found")
	}
}

func TestTroubleIsNotToldToOutsiders(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	answers := query.New(store.New(db), nil, nil)
	_, err := db.Pool.Exec(t.Context(), "DROP TABLE plugins.layer_outputs, plugins.analysis_runs")
	require.NoError(t, err)
	_, err = answers.Run(t.Context(), contract.AnalysisRunRequest{AnalysisRunID: uuid.NewString()})
	require.Equal(t, fault.Internal, fault.KindOf(err))
	_, err = answers.Runs(t.Context(), contract.AnalysisRunsRequest{})
	require.Equal(t, fault.Internal, fault.KindOf(err))
}

func TestHealth(t *testing.T) {
	t.Parallel()
	answers, _ := start(t)
	reply, err := answers.Health(t.Context(), contract.PluginsHealthRequest{})
	require.NoError(t, err)
	require.Len(t, reply.Plugins, 2)
	require.Equal(t, "deterministic", reply.Plugins[0].Name)
	require.Equal(t, contract.PluginOK, reply.Plugins[0].Health)
	require.Equal(t, contract.PluginDisabled, reply.Plugins[1].Health)
	require.Equal(t, "the plugin is disabled", reply.Plugins[1].Detail)
	require.Equal(t, []contract.Modality{"text", "pdf", "image", "audio"}, reply.Plugins[1].Modalities)
	require.Equal(t, map[string][]string{
		"deterministic": {"deterministic"}, "ml_first": {"ml_stub", "deterministic"}, "ml_only": {"ml_stub"},
	}, reply.Profiles)
}

// pair saves a run and, where asked to, the run of its shadow.
func pair(t *testing.T, runs *store.Store, primary, shadow []contract.LayerOutput) (id, shadowJob string) {
	t.Helper()
	document, job := uuid.NewString(), uuid.NewString()
	shadowJob = contract.ShadowJobID(job)
	run := contract.AnalysisRun{AnalysisRunSummary: contract.AnalysisRunSummary{
		AnalysisRunID: uuid.NewString(), JobID: job, DocumentID: &document, Mode: "PUBLIC", ExecutionMode: contract.ModeShadow, PluginProfile: "deterministic",
		Modality: contract.ModalityText, SourceChecksum: strings.Repeat("0", 64), CreatedBy: "dev-researcher", ShadowJobID: &shadowJob,
	}, LayerOutputs: primary}
	require.NoError(t, runs.Save(t.Context(), run))
	if shadow != nil {
		other := run
		other.AnalysisRunID, other.JobID, other.ExecutionMode = uuid.NewString(), shadowJob, contract.ModeAsync
		other.ShadowJobID, other.ShadowOf, other.LayerOutputs = nil, &job, shadow
		require.NoError(t, runs.Save(t.Context(), other))
	}
	return run.AnalysisRunID, shadowJob
}

func output(name, body string, confidence float64, runtime int64) contract.LayerOutput {
	return contract.LayerOutput{
		Layer: name, Confidence: confidence, Output: json.RawMessage(body), LayerProvenance: contract.LayerProvenance{Provider: "p", RuntimeMS: runtime},
	}
}

func TestShadow(t *testing.T) {
	t.Parallel()
	answers, runs := start(t)
	id, job := pair(t, runs,
		[]contract.LayerOutput{output("token", `{"a":1,"b":[1]}`, .72, 5), output("syntax", `{"a":1}`, .66, 1), output("rhetoric", `{}`, .74, 0)},
		[]contract.LayerOutput{output("token", `{ "b":[1],"a":1}`, .82, 2), output("syntax", `{"a":2}`, .66, 4), output("semiotic", `{}`, .63, 1)})
	reply, err := answers.Shadow(t.Context(), contract.ShadowRequest{AnalysisRunID: id})
	require.NoError(t, err)
	require.Equal(t, job, reply.ShadowJobID)
	require.NotNil(t, reply.ShadowRunID)
	require.Equal(t, contract.ShadowComparison{
		Layers: map[string]contract.LayerDifference{
			"token":    {ConfidenceDelta: .1, RuntimeDeltaMS: -3},
			"syntax":   {Changed: true, RuntimeDeltaMS: 3},
			"rhetoric": {Changed: true, ConfidenceDelta: -.74},
			"semiotic": {Changed: true, ConfidenceDelta: .63, RuntimeDeltaMS: 1},
		},
		ChangedLayers: []string{"syntax", "rhetoric", "semiotic"},
	}, reply.Comparison)

	id, job = pair(t, runs, []contract.LayerOutput{output("token", `{}`, .72, 5)}, nil)
	reply, err = answers.Shadow(t.Context(), contract.ShadowRequest{AnalysisRunID: id})
	require.NoError(t, err)
	require.Equal(t, contract.ShadowReply{ShadowJobID: job, Comparison: contract.ShadowComparison{
		Layers: map[string]contract.LayerDifference{}, ChangedLayers: []string{},
	}}, reply)

	for _, other := range []string{save(t, runs, uuid.NewString()), uuid.NewString(), "seven"} {
		_, err = answers.Shadow(t.Context(), contract.ShadowRequest{AnalysisRunID: other})
		require.Equal(t, fault.NotFound, fault.KindOf(err))
	}
}

func TestRhetoric(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	corpus := fakecorpus.Start(t, nc, 16)
	document, conflict := uuid.NewString(), uuid.NewString()
	corpus.Put(document, fakecorpus.Document{Text: "Trust the evidence."})
	corpus.Put(conflict, fakecorpus.Document{Conflict: true})
	answers := query.New(nil, nil, corpusreader.NewReader(nc, 1<<20))
	ofText, err := answers.Rhetoric(t.Context(), contract.RhetoricRequest{Text: "Trust the evidence."})
	require.NoError(t, err)
	require.Equal(t, []string{"ethos", "logos"}, ofText.Strategies)
	require.JSONEq(t, `{"ethos":1,"pathos":0,"logos":1}`, string(field(t, ofText.Explainability, "marker_counts")))
	ofDocument, err := answers.Rhetoric(t.Context(), contract.RhetoricRequest{DocumentID: document})
	require.NoError(t, err)
	require.Equal(t, ofText, ofDocument)
	nothing, err := answers.Rhetoric(t.Context(), contract.RhetoricRequest{})
	require.NoError(t, err)
	require.Zero(t, nothing.EthosScore)
	for id, kind := range map[string]fault.Kind{"seven": fault.NotFound, uuid.NewString(): fault.NotFound, conflict: fault.Conflict} {
		_, err := answers.Rhetoric(t.Context(), contract.RhetoricRequest{DocumentID: id})
		require.Equal(t, kind, fault.KindOf(err), id)
	}
	_, err = answers.Rhetoric(t.Context(), contract.RhetoricRequest{Text: "a", DocumentID: document})
	require.Equal(t, fault.Invalid, fault.KindOf(err))
}

func field(t *testing.T, body json.RawMessage, name string) json.RawMessage {
	t.Helper()
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &fields))
	return fields[name]
}
