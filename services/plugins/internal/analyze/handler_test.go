package analyze_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
	"nexus.internal/services/plugins/internal/analyze"
	"nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/fakecorpus"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
	"nexus.internal/services/plugins/internal/store"
)

const sample = "Ada walked home. Why? Because it rained!"

type setup struct {
	nc      *nats.Conn
	corpus  *fakecorpus.Corpus
	runs    *store.Store
	handler *analyze.Handler
}

// start makes a handler with an enabled ml_stub and, in its place when given,
// another plugin of that name.
func start(t *testing.T, stub plugin.Plugin) setup {
	t.Helper()
	nc := testkit.NATS(t)
	if stub == nil {
		stub = plugin.NewMLStub(true)
	}
	registry, err := plugin.NewRegistry(layer.NewAnalyzer(),
		plugin.Limits{Timeout: time.Minute, OutputBytes: 256 << 10, Calls: 4, Failures: 100, RestFor: time.Minute},
		plugin.BuiltInProfiles(), noop.NewTracerProvider(), plugin.Deterministic{}, stub)
	require.NoError(t, err)
	answerAllowed(t, nc)
	runs := store.New(testkit.Postgres(t))
	return setup{
		nc: nc, corpus: fakecorpus.Start(t, nc, 16), runs: runs,
		handler: analyze.NewHandler(document.NewReader(nc, 1<<20), analyze.NewGate(nc, registry, registry.WithoutLearning(), true), runs, 1),
	}
}

// answerAllowed plays the auth service: everybody but "somebody-else" may use
// the plugins that learn.
func answerAllowed(t *testing.T, nc *nats.Conn) {
	t.Helper()
	rpc := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "auth")
	bus.Handle(rpc, contract.RPCAuthAllowed, func(_ context.Context, req contract.AllowedRequest) (contract.AllowedReply, error) {
		return contract.AllowedReply{Allowed: req.Feature == contract.FeatureMLPlugins && req.Owner != "somebody-else"}, nil
	})
	testkit.Start(t, rpc)
}

// Who may not use the plugins that learn has them passed over, and is told so.
func TestPluginsThatLearnNeedTheFeature(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for owner, want := range map[string]string{"dev-operator": "ml_stub", "somebody-else": "deterministic"} {
		j := job(fmt.Sprintf(`{"document_id":%q,"layers":["token"],"plugin_profile":"ml_first"}`, s.document(sample)))
		j.CreatedBy = owner
		value, _ := s.handled(t, j)
		require.Equal(t, want, value.PluginProvenance["token"].Provider)
		require.Equal(t, want == "ml_stub", value.PluginProvenance["token"].FallbackReason == nil)
	}
}

func (s setup) document(text string) string {
	id := uuid.NewString()
	s.corpus.Put(id, fakecorpus.Document{Text: text, Atoms: 2})
	return id
}

func job(payload string) worker.Job {
	return worker.Job{ID: uuid.NewString(), Type: contract.JobAnalyze, Payload: json.RawMessage(payload), CreatedBy: "dev-operator"}
}

// handled runs a job that must succeed.
func (s setup) handled(t *testing.T, j worker.Job) (contract.AnalyzeResult, worker.Result) {
	t.Helper()
	result, err := s.handler.Handle(t.Context(), j)
	require.NoError(t, err)
	value, ok := result.Value.(contract.AnalyzeResult)
	require.True(t, ok)
	return value, result
}

func TestAnalyzeADocument(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	id := s.document(sample)
	j := job(fmt.Sprintf(`{"document_id":%q}`, id))
	value, result := s.handled(t, j)

	require.Equal(t, &id, value.DocumentID)
	require.Nil(t, value.BranchID)
	require.Equal(t, "PUBLIC", value.Mode)
	require.Equal(t, "deterministic", value.PluginProfile)
	require.Equal(t, contract.HypergraphIDs{
		DocumentNodeID: "document-node", AtomNodeIDs: []string{"atom-node", "atom-node"}, AtomNodeCount: 2,
	}, value.HypergraphIDs)
	require.Len(t, value.Layers, 9)
	require.Len(t, value.ConfidenceBundle, 9)
	require.Len(t, value.PluginProvenance, 9)
	text := layer.Read(sample, "text")
	for _, name := range layer.Names() {
		expected, err := layer.NewAnalyzer().JSON(name, text)
		require.NoError(t, err)
		require.JSONEq(t, string(expected), string(value.Layers[string(name)]))
		require.InDelta(t, name.Confidence(), value.ConfidenceBundle[string(name)], 0)
		provenance := value.PluginProvenance[string(name)]
		require.Equal(t, "deterministic", provenance.Provider)
		require.Equal(t, "2.0", provenance.Version)
		require.Nil(t, provenance.FallbackReason)
	}
	require.Len(t, result.Artifacts, 1)
	require.Equal(t, "analyze_result", result.Artifacts[0].Type)
	require.Equal(t, value.AnalysisRunID, result.Artifacts[0].Ref)
	require.JSONEq(t, fmt.Sprintf(`{"analysis_run_id":%q,"layer_count":9}`, value.AnalysisRunID), string(result.Artifacts[0].Payload))

	run, err := s.runs.Run(t.Context(), uuid.MustParse(value.AnalysisRunID))
	require.NoError(t, err)
	require.Equal(t, j.ID, run.JobID)
	require.Equal(t, "dev-operator", run.CreatedBy)
	require.Equal(t, fakecorpus.Checksum(sample), run.SourceChecksum)
	require.Equal(t, contract.ModalityText, run.Modality)
	require.Len(t, run.LayerOutputs, 9)
}

func TestAnalyzeAsAsked(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	value, result := s.handled(t, job(fmt.Sprintf(
		`{"document_id":%q,"layers":["semiotic","token","semiotic"],"mode":"RAW","plugin_profile":"ml_first","branch_id":""}`, s.document(sample))))
	require.Equal(t, "RAW", value.Mode)
	require.Equal(t, "ml_first", value.PluginProfile)
	require.Equal(t, map[string]float64{"semiotic": .73, "token": .82}, value.ConfidenceBundle)
	require.Equal(t, "ml_stub", value.PluginProvenance["token"].Provider)
	require.Contains(t, string(value.Layers["token"]), `"provider_note":"ml_stub_enrichment"`)
	require.Contains(t, string(result.Artifacts[0].Payload), `"layer_count":2`)
	run, err := s.runs.Run(t.Context(), uuid.MustParse(value.AnalysisRunID))
	require.NoError(t, err)
	require.Equal(t, []string{"semiotic", "token"}, run.Layers)
}

func TestUnknownProfilesAreDeterministic(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	value, _ := s.handled(t, job(fmt.Sprintf(`{"document_id":%q,"layers":["token"],"plugin_profile":"\u0000 best"}`, s.document(sample))))
	require.Equal(t, "deterministic", value.PluginProfile)
	require.Equal(t, "deterministic", value.PluginProvenance["token"].Provider)
}

func TestAnalyzeADocumentWithoutText(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	id := uuid.NewString()
	s.corpus.Put(id, fakecorpus.Document{Modality: contract.ModalityBinary})
	value, _ := s.handled(t, job(fmt.Sprintf(`{"document_id":%q,"plugin_profile":"ml_first"}`, id)))
	require.Len(t, value.Layers, 9)
	for _, provenance := range value.PluginProvenance {
		require.Equal(t, "deterministic", provenance.Provider)
		require.Equal(t, "plugin_unsupported:ml_stub", *provenance.FallbackReason)
	}
}

// TestAJobRunAgainGivesTheSameResult: an attempt that died after it had saved its
// run is repeated from what is kept, whatever has happened to the document.
func TestAJobRunAgainGivesTheSameResult(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	id := s.document(sample)
	j := job(fmt.Sprintf(`{"document_id":%q}`, id))
	first, _ := s.handled(t, j)
	requests := s.corpus.Requests()
	s.corpus.Put(id, fakecorpus.Document{Text: "something else", Conflict: true})
	again, _ := s.handled(t, j)
	require.Equal(t, first, again)
	require.Equal(t, requests, s.corpus.Requests())
	runs, err := s.runs.Runs(t.Context(), store.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, runs, 1)
}

func TestTwoJobsLeaveTwoRuns(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	payload := fmt.Sprintf(`{"document_id":%q,"layers":["token"]}`, s.document(sample))
	first, _ := s.handled(t, job(payload))
	second, _ := s.handled(t, job(payload))
	require.NotEqual(t, first.AnalysisRunID, second.AnalysisRunID)
	require.Equal(t, first.Layers, second.Layers)
}

func TestABranchIsAnalysed(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	id := uuid.NewString()
	s.corpus.PutBranch(id, sample)
	branch, _ := s.handled(t, job(fmt.Sprintf(`{"branch_id":%q}`, id)))
	text, _ := s.handled(t, job(fmt.Sprintf(`{"document_id":%q}`, s.document(sample))))
	require.Equal(t, text.Layers, branch.Layers, "the same text has the same layers")
	require.Equal(t, &id, branch.BranchID)
	require.Nil(t, branch.DocumentID)
	require.Empty(t, branch.HypergraphIDs.AtomNodeIDs)
	run, err := s.runs.Run(t.Context(), uuid.MustParse(branch.AnalysisRunID))
	require.NoError(t, err)
	require.Equal(t, &id, run.BranchID)
	require.Nil(t, run.DocumentID)
	require.Equal(t, fakecorpus.Checksum(sample), run.SourceChecksum)
}

func TestPermanentErrors(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	some := uuid.NewString()
	conflict, skipped := uuid.NewString(), uuid.NewString()
	s.corpus.Put(conflict, fakecorpus.Document{Conflict: true})
	s.corpus.Put(skipped, fakecorpus.Document{Skipped: true})
	cases := map[string]struct {
		payload  string
		sentence string
	}{
		"other spelling": {fmt.Sprintf(`{"Document_ID":%q}`, some), "give the document_id"},
		"nothing":        {``, "the payload is not that of an analyze job"},
		"no JSON":        {`{`, "the payload is not that of an analyze job"},
		"no object":      {`[]`, "the payload is not that of an analyze job"},
		"wrong types":    {`{"document_id":7}`, "the payload is not that of an analyze job"},
		"neither id":     {`{}`, "give the document_id or the branch_id of what to analyse"},
		"null":           {`null`, "give the document_id or the branch_id of what to analyse"},
		"both ids":       {fmt.Sprintf(`{"document_id":%q,"branch_id":%q}`, some, some), "give document_id or branch_id, not both"},
		"no branch":      {fmt.Sprintf(`{"branch_id":%q}`, some), "Branch not found"},
		"no branch's id": {`{"branch_id":"one"}`, "Branch not found"},
		"no UUID":        {`{"document_id":"one"}`, "Document not found"},
		"unknown layer":  {fmt.Sprintf(`{"document_id":%q,"layers":["token","astrology"]}`, some), `unknown layer "astrology", known layers are token, morphology`},
		"unknown mode":   {fmt.Sprintf(`{"document_id":%q,"mode":"public"}`, some), "mode is neither PUBLIC nor RAW"},
		"unknown":        {fmt.Sprintf(`{"document_id":%q}`, some), "Document not found"},
		"in conflict":    {fmt.Sprintf(`{"document_id":%q}`, conflict), "is in conflict and cannot be analysed: Conflict markers detected"},
		"not ingested":   {fmt.Sprintf(`{"document_id":%q}`, skipped), "is not ingested and cannot be analysed"},
		"too much text":  {fmt.Sprintf(`{"document_id":%q}`, s.document(strings.Repeat("x", 1<<20+1))), "the limit for analysis is 1048576"},
		"layers no list": {fmt.Sprintf(`{"document_id":%q,"layers":"token"}`, some), "the payload is not that of an analyze job"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.handler.Handle(t.Context(), job(c.payload))
			require.ErrorContains(t, err, c.sentence)
			require.True(t, worker.IsPermanent(err))
		})
	}
}

func TestACorpusThatDoesNotAnswerMayComeBack(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.corpus.OnText(func(contract.TextRequest, *contract.TextReply) error { return fmt.Errorf("disk on fire") })
	_, err := s.handler.Handle(t.Context(), job(fmt.Sprintf(`{"document_id":%q}`, s.document(sample))))
	require.ErrorContains(t, err, "read Document")
	require.False(t, worker.IsPermanent(err))
}

// odd is a plugin in the place of ml_stub.
type odd struct {
	plugin.Deterministic
	run func(context.Context, plugin.Request) (plugin.Output, error)
}

func (odd) Name() string { return "ml_stub" }

func (o odd) Run(ctx context.Context, r plugin.Request) (plugin.Output, error) { return o.run(ctx, r) }

func TestAPluginThatPanicsDoesNotCostTheJob(t *testing.T) {
	t.Parallel()
	s := start(t, odd{run: func(context.Context, plugin.Request) (plugin.Output, error) { panic("boom; bang") }})
	value, _ := s.handled(t, job(fmt.Sprintf(`{"document_id":%q,"plugin_profile":"ml_only"}`, s.document(sample))))
	require.Len(t, value.Layers, 9)
	for _, provenance := range value.PluginProvenance {
		require.Equal(t, contract.LayerProvenance{
			Provider: "deterministic", Version: "2.0", FallbackReason: provenance.FallbackReason,
		}, provenance)
		require.Equal(t, "ml_stub:panic: boom  bang", *provenance.FallbackReason)
	}
}

// A result holds every layer, also where it is too large for a message of its own.
func TestLargeOutputsAreInTheResult(t *testing.T) {
	t.Parallel()
	field := []byte(`"a":"` + strings.Repeat("<", 15<<10) + `",`)
	s := start(t, odd{run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
		body, err := r.Baseline()
		return plugin.Output{Body: slices.Insert(body, 1, field...), Confidence: .5}, err
	}})
	value, result := s.handled(t, job(fmt.Sprintf(`{"document_id":%q,"plugin_profile":"ml_only"}`, s.document(sample))))
	encoded, err := contract.Encode(result.Value)
	require.NoError(t, err)
	require.Greater(t, len(encoded), 2*contract.MaxInlineResult)
	require.Len(t, value.Layers, 9)
	for layer, output := range value.Layers {
		require.Contains(t, string(output), `"a":"\u003c\u003c`, layer)
	}

	run, err := s.runs.Run(t.Context(), uuid.MustParse(value.AnalysisRunID))
	require.NoError(t, err)
	for _, o := range run.LayerOutputs {
		require.Contains(t, string(o.Output), `"a":"\u003c\u003c`)
	}
	reply, err := json.Marshal(run)
	require.NoError(t, err)
	require.Less(t, len(reply), contract.MaxMessage)
}

func TestAnalyzeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := start(t, odd{run: func(runCtx context.Context, _ plugin.Request) (plugin.Output, error) {
		cancel()
		<-runCtx.Done()
		return plugin.Output{}, runCtx.Err()
	}})
	_, err := s.handler.Handle(ctx, job(fmt.Sprintf(`{"document_id":%q,"plugin_profile":"ml_first"}`, s.document(sample))))
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, worker.IsPermanent(err))
	runs, err := s.runs.Runs(t.Context(), store.Page{Limit: 1})
	require.NoError(t, err)
	require.Empty(t, runs)
}

func TestAJobIDThatIsNoUUIDIsNotHidden(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	j := job(fmt.Sprintf(`{"document_id":%q}`, s.document(sample)))
	j.ID = "seven"
	_, err := s.handler.Handle(t.Context(), j)
	require.ErrorContains(t, err, "save analysis run")
}

// TestARunInTheShadowNamesItsShadow, and the shadow names it.
func TestARunInTheShadowNamesItsShadow(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	id := s.document(sample)
	j := job(fmt.Sprintf(`{"document_id":%q,"layers":["token"]}`, id))
	j.ExecutionMode = contract.ModeShadow
	value, _ := s.handled(t, j)
	run, err := s.runs.Run(t.Context(), uuid.MustParse(value.AnalysisRunID))
	require.NoError(t, err)
	require.Equal(t, contract.ModeShadow, run.ExecutionMode)
	require.Equal(t, contract.ShadowJobID(j.ID), *run.ShadowJobID)

	shadow := job(fmt.Sprintf(`{"document_id":%q,"layers":["token"],"plugin_profile":"ml_first","shadow_of":%q}`, id, j.ID))
	shadow.ID = contract.ShadowJobID(j.ID)
	value, _ = s.handled(t, shadow)
	run, err = s.runs.Run(t.Context(), uuid.MustParse(value.AnalysisRunID))
	require.NoError(t, err)
	require.Equal(t, contract.ModeAsync, run.ExecutionMode)
	require.Equal(t, j.ID, *run.ShadowOf)
	require.Equal(t, "ml_first", run.PluginProfile)

	forged := job(fmt.Sprintf(`{"document_id":%q,"shadow_of":%q}`, id, j.ID))
	_, err = s.handler.Handle(t.Context(), forged)
	require.ErrorContains(t, err, "shadow_of is set by the platform alone")
	require.True(t, worker.IsPermanent(err))
}

// TestShadowsDoNotTakeTheRoomOfOthers: one shadow hangs, the next is put off, and
// a job that somebody waits for runs.
func TestShadowsDoNotTakeTheRoomOfOthers(t *testing.T) {
	t.Parallel()
	called, release := make(chan struct{}, 9), make(chan struct{})
	s := start(t, odd{run: func(ctx context.Context, r plugin.Request) (plugin.Output, error) {
		called <- struct{}{}
		<-release
		return plugin.Output{}, fmt.Errorf("gone")
	}})
	id := s.document(sample)
	shadowOf := func(primary string) worker.Job {
		j := job(fmt.Sprintf(`{"document_id":%q,"layers":["token"],"plugin_profile":"ml_only","shadow_of":%q}`, id, primary))
		j.ID = contract.ShadowJobID(primary)
		return j
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.handler.Handle(t.Context(), shadowOf(uuid.NewString()))
		done <- err
	}()
	testkit.Receive(t, called)
	_, err := s.handler.Handle(t.Context(), shadowOf(uuid.NewString()))
	require.EqualError(t, err, "the job is put off for 5s")
	value, _ := s.handled(t, job(fmt.Sprintf(`{"document_id":%q,"layers":["token"]}`, id)))
	require.Equal(t, "deterministic", value.PluginProvenance["token"].Provider)
	close(release)
	require.NoError(t, testkit.Receive(t, done))
}

// TestRefusalsHaveTheKindOfTheirFault, for those who wait for a job.
func TestRefusalsHaveTheKindOfTheirFault(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	conflict := uuid.NewString()
	s.corpus.Put(conflict, fakecorpus.Document{Conflict: true})
	for payload, kind := range map[string]fault.Kind{
		`{}`:                      fault.Invalid,
		`{"document_id":"seven"}`: fault.NotFound,
		fmt.Sprintf(`{"document_id":%q}`, uuid.NewString()):                        fault.NotFound,
		fmt.Sprintf(`{"document_id":%q}`, conflict):                                fault.Conflict,
		fmt.Sprintf(`{"document_id":%q,"layers":["astrology"]}`, uuid.NewString()): fault.Invalid,
	} {
		_, err := s.handler.Handle(t.Context(), job(payload))
		require.Equal(t, kind, fault.KindOf(err), payload)
		require.True(t, worker.IsPermanent(err))
	}
}
