package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/plugins/internal/store"
)

// open makes a store that acts with the rights of the service. The database
// beside it acts with every right.
func open(t *testing.T) (*store.Store, *pg.DB) {
	t.Helper()
	url := testkit.PostgresURL(t)
	return store.New(testkit.OpenPostgres(t, url, migrations.Role("plugins"))), testkit.OpenPostgres(t, url, "")
}

func pointer[T any](v T) *T { return &v }

// sample is a run with two layers.
func sample() contract.AnalysisRun {
	return contract.AnalysisRun{
		AnalysisRunSummary: contract.AnalysisRunSummary{
			AnalysisRunID: uuid.NewString(), JobID: uuid.NewString(), DocumentID: pointer(uuid.NewString()),
			Mode: "PUBLIC", ExecutionMode: contract.ModeSync, PluginProfile: "ml_first", Modality: contract.ModalityPDF,
			SourceChecksum: strings.Repeat("0a", 32), CreatedBy: "dev-operator",
		},
		HypergraphIDs: contract.HypergraphIDs{DocumentNodeID: "node", AtomNodeIDs: []string{"a", "b"}, AtomNodeCount: 2},
		LayerOutputs: []contract.LayerOutput{
			{
				Layer: "semiotic", Confidence: .63, Output: json.RawMessage(`{"glyph_count":3}`),
				LayerProvenance: contract.LayerProvenance{
					Provider: "deterministic", Version: "2.0", RuntimeMS: 7, FallbackReason: pointer("plugin_unsupported:ml_stub"),
				},
			},
			{
				Layer: "token", Confidence: 1, Output: json.RawMessage(`{}`),
				LayerProvenance: contract.LayerProvenance{Provider: "ml_stub", Version: "0.1"},
			},
		},
	}
}

func save(t *testing.T, s *store.Store, run contract.AnalysisRun) contract.AnalysisRun {
	t.Helper()
	require.NoError(t, s.Save(t.Context(), run))
	return load(t, s, run.AnalysisRunID)
}

func load(t *testing.T, s *store.Store, id string) contract.AnalysisRun {
	t.Helper()
	run, err := s.Run(t.Context(), uuid.MustParse(id))
	require.NoError(t, err)
	return run
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	run := sample()
	kept := save(t, s, run)
	require.False(t, kept.CreatedAt.IsZero())
	run.CreatedAt = kept.CreatedAt
	run.Layers = []string{"semiotic", "token"}
	require.Equal(t, run, kept)
}

func TestSaveABranchAndNoLayers(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	run := sample()
	run.DocumentID, run.BranchID, run.LayerOutputs = nil, pointer(uuid.NewString()), nil
	kept := save(t, s, run)
	require.Nil(t, kept.DocumentID)
	require.Equal(t, run.BranchID, kept.BranchID)
	require.Empty(t, kept.LayerOutputs)
}

// TestOutputsAreKeptToTheByte: what a plugin said is what a client reads.
func TestOutputsAreKeptToTheByte(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for _, output := range []string{
		`{"b":1,"a":2,"b":3}`, `{"n":1.50,"m":1e-300,"o":123456789012345678901234567890}`,
		`{"quote":"it's \"so\" \\ ?0 ?"}`, `{"escape":"\u003c\\u0000 \ud800"}`, `{"text":"þ 😀 \u2028"}`, `{"nul":"\u0000"}`,
	} {
		run := sample()
		run.LayerOutputs[0].Output = json.RawMessage(output)
		require.Equal(t, output, string(save(t, s, run).LayerOutputs[0].Output))
	}
}

func TestTheFirstSaveCounts(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	first := sample()
	kept := save(t, s, first)
	second := first
	second.Mode = "RAW"
	second.LayerOutputs = second.LayerOutputs[:1]
	require.Equal(t, kept, save(t, s, second))
	var runs int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM plugins.analysis_runs").Scan(&runs))
	require.Equal(t, 1, runs)
}

func TestSavesAtOnceLeaveOneRun(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	run := sample()
	errs := make(chan error, 8)
	var saving sync.WaitGroup
	for i := range cap(errs) {
		saving.Go(func() {
			own := run
			own.CreatedBy = fmt.Sprintf("attempt-%d", i)
			own.LayerOutputs = slices.Clone(run.LayerOutputs)
			for k := range own.LayerOutputs {
				own.LayerOutputs[k].Provider = own.CreatedBy
			}
			errs <- s.Save(t.Context(), own)
		})
	}
	saving.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	kept := load(t, s, run.AnalysisRunID)
	require.Len(t, kept.LayerOutputs, 2)
	for _, o := range kept.LayerOutputs {
		require.Equal(t, kept.CreatedBy, o.Provider, "the outputs are those of the attempt that won")
	}
	var runs int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM plugins.analysis_runs").Scan(&runs))
	require.Equal(t, 1, runs)
}

func TestSaveIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	run := sample()
	run.LayerOutputs[1].Layer = "astrology"
	require.ErrorContains(t, s.Save(t.Context(), run), "save analysis run "+run.AnalysisRunID)
	_, err := s.Run(t.Context(), uuid.MustParse(run.AnalysisRunID))
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestSaveRefusesWhatTheSchemaForbids(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	spoil := map[string]func(*contract.AnalysisRun){
		"no source":            func(r *contract.AnalysisRun) { r.DocumentID = nil },
		"two sources":          func(r *contract.AnalysisRun) { r.BranchID = pointer(uuid.NewString()) },
		"mode":                 func(r *contract.AnalysisRun) { r.Mode = "SECRET" },
		"profile":              func(r *contract.AnalysisRun) { r.PluginProfile = "" },
		"modality":             func(r *contract.AnalysisRun) { r.Modality = "smell" },
		"checksum":             func(r *contract.AnalysisRun) { r.SourceChecksum = "0A" },
		"confidence above 1":   func(r *contract.AnalysisRun) { r.LayerOutputs[0].Confidence = 1.01 },
		"confidence below 0":   func(r *contract.AnalysisRun) { r.LayerOutputs[0].Confidence = -.01 },
		"runtime":              func(r *contract.AnalysisRun) { r.LayerOutputs[0].RuntimeMS = -1 },
		"provider":             func(r *contract.AnalysisRun) { r.LayerOutputs[0].Provider = "" },
		"an empty reason":      func(r *contract.AnalysisRun) { r.LayerOutputs[0].FallbackReason = pointer("") },
		"an output not object": func(r *contract.AnalysisRun) { r.LayerOutputs[0].Output = json.RawMessage(`[]`) },
		"an output not JSON":   func(r *contract.AnalysisRun) { r.LayerOutputs[0].Output = json.RawMessage(`{`) },
		"a layer twice":        func(r *contract.AnalysisRun) { r.LayerOutputs[0].Layer = "token" },
		"execution mode":       func(r *contract.AnalysisRun) { r.ExecutionMode = "later" },
		"a shadow unasked for": func(r *contract.AnalysisRun) { r.ShadowJobID = pointer(uuid.NewString()) },
		"no shadow":            func(r *contract.AnalysisRun) { r.ExecutionMode = contract.ModeShadow },
		"the shadow of a shadow": func(r *contract.AnalysisRun) {
			r.ExecutionMode, r.ShadowJobID, r.ShadowOf = contract.ModeShadow, pointer(uuid.NewString()), pointer(uuid.NewString())
		},
		"an id that is no UUID": func(r *contract.AnalysisRun) { r.JobID = "job" },
	}
	for name, change := range spoil {
		run := sample()
		change(&run)
		require.Error(t, s.Save(t.Context(), run), name)
	}
	runs, err := s.Runs(t.Context(), store.Page{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, runs)
}

func TestARunAndItsShadow(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	run, shadow := sample(), sample()
	run.ExecutionMode, run.ShadowJobID = contract.ModeShadow, &shadow.JobID
	shadow.ExecutionMode, shadow.ShadowOf = contract.ModeAsync, &run.JobID
	require.Equal(t, run.ShadowJobID, save(t, s, run).ShadowJobID)
	_, err := s.RunOfJob(t.Context(), shadow.JobID)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Equal(t, run.JobID, *save(t, s, shadow).ShadowOf)
	id, err := s.RunOfJob(t.Context(), shadow.JobID)
	require.NoError(t, err)
	require.Equal(t, shadow.AnalysisRunID, id.String())
	listed, err := s.Runs(t.Context(), store.Page{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, run.ShadowJobID, listed[1].ShadowJobID)
}

func TestAJobHasOneRun(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	run := sample()
	save(t, s, run)
	other := sample()
	other.JobID = run.JobID
	require.True(t, pg.IsUniqueViolation(s.Save(t.Context(), other)))
}

func TestRunOfNobody(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	_, err := s.Run(t.Context(), uuid.New())
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestRunsNewestFirst(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	document := uuid.New()
	var saved []contract.AnalysisRunSummary
	for i := range 5 {
		run := sample()
		if i%2 == 0 {
			run.DocumentID = pointer(document.String())
		}
		saved = append(saved, save(t, s, run).AnalysisRunSummary)
	}
	slices.Reverse(saved)
	list := func(page store.Page) []contract.AnalysisRunSummary {
		runs, err := s.Runs(t.Context(), page)
		require.NoError(t, err)
		return runs
	}
	require.Equal(t, saved, list(store.Page{Limit: 10}))
	require.Equal(t, saved[1:3], list(store.Page{Limit: 2, Offset: 1}))
	require.Equal(t, []contract.AnalysisRunSummary{saved[0], saved[2], saved[4]}, list(store.Page{Limit: 10, DocumentID: &document}))
	require.Equal(t, []contract.AnalysisRunSummary{saved[2]}, list(store.Page{Limit: 1, Offset: 1, DocumentID: &document}))
	require.Empty(t, list(store.Page{Limit: 10, Offset: 5}))
	require.Empty(t, list(store.Page{Limit: 10, DocumentID: pointer(uuid.New())}))
}

func TestErrorsOfTheDatabaseAreNotHidden(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	_, err := db.Pool.Exec(t.Context(), "ALTER TABLE plugins.layer_outputs RENAME TO gone")
	require.NoError(t, err)
	run := sample()
	require.ErrorContains(t, s.Save(t.Context(), run), "save analysis run")
	run.LayerOutputs = nil
	require.NoError(t, s.Save(t.Context(), run))
	_, err = s.Run(t.Context(), uuid.MustParse(run.AnalysisRunID))
	require.ErrorContains(t, err, "load the outputs")
	_, err = s.Runs(t.Context(), store.Page{Limit: 1})
	require.ErrorContains(t, err, "list analysis runs")
}

// TestMigrationsGoDownAndUp: the schema leaves nothing behind and can be made
// again.
func TestMigrationsGoDownAndUp(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	save(t, s, sample())
	require.NoError(t, migrations.Down(t.Context(), db.Bun, "plugins"))
	var exists bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT to_regnamespace('plugins') IS NOT NULL").Scan(&exists))
	require.False(t, exists)
	require.NoError(t, migrations.Up(t.Context(), db.Bun, "plugins"))
	save(t, s, sample())
}
