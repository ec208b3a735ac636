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
