package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
)

// runRow is a row of plugins.analysis_runs. JSON is written as a plain string:
// bun rewrites escapes inside values it knows to be JSON.
type runRow struct {
	bun.BaseModel `bun:"table:plugins.analysis_runs,alias:r"`

	ID             string    `bun:"id,pk"`
	JobID          string    `bun:"job_id"`
	DocumentID     *string   `bun:"document_id"`
	BranchID       *string   `bun:"branch_id"`
	SourceChecksum string    `bun:"source_checksum"`
	Modality       string    `bun:"modality"`
	Mode           string    `bun:"mode"`
	ExecutionMode  string    `bun:"execution_mode"`
	PluginProfile  string    `bun:"plugin_profile"`
	HypergraphIDs  string    `bun:"hypergraph_ids"`
	ShadowJobID    *string   `bun:"shadow_job_id"`
	ShadowOf       *string   `bun:"shadow_of"`
	CreatedBy      string    `bun:"created_by"`
	CreatedAt      time.Time `bun:"created_at"`
	Layers         []string  `bun:"layers,array,scanonly"`
}

func runRowOf(run contract.AnalysisRun) (runRow, error) {
	ids, err := json.Marshal(run.HypergraphIDs)
	if err != nil {
		return runRow{}, fmt.Errorf("encode the graph ids of analysis run %s: %w", run.AnalysisRunID, err)
	}
	return runRow{
		ID: run.AnalysisRunID, JobID: run.JobID, DocumentID: run.DocumentID, BranchID: run.BranchID,
		SourceChecksum: run.SourceChecksum, Modality: string(run.Modality), Mode: run.Mode,
		ExecutionMode: string(run.ExecutionMode), PluginProfile: run.PluginProfile, HypergraphIDs: string(ids),
		ShadowJobID: run.ShadowJobID, ShadowOf: run.ShadowOf, CreatedBy: run.CreatedBy,
	}, nil
}

func (r runRow) summary() contract.AnalysisRunSummary {
	return contract.AnalysisRunSummary{
		AnalysisRunID: r.ID, JobID: r.JobID, DocumentID: r.DocumentID, BranchID: r.BranchID, Mode: r.Mode,
		ExecutionMode: contract.ExecutionMode(r.ExecutionMode), ShadowJobID: r.ShadowJobID, ShadowOf: r.ShadowOf, PluginProfile: r.PluginProfile, Modality: contract.Modality(r.Modality), SourceChecksum: r.SourceChecksum,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt.UTC(),
	}
}

// outputRow is a row of plugins.layer_outputs.
type outputRow struct {
	bun.BaseModel `bun:"table:plugins.layer_outputs,alias:o"`

	RunID          string  `bun:"run_id,pk"`
	Position       int     `bun:"position"`
	Layer          string  `bun:"layer,pk"`
	Provider       string  `bun:"provider"`
	Version        string  `bun:"provider_version"`
	RuntimeMS      int64   `bun:"runtime_ms"`
	FallbackReason *string `bun:"fallback_reason"`
	Confidence     float64 `bun:"confidence"`
	Output         string  `bun:"output"`
}

func outputRowsOf(run contract.AnalysisRun) []outputRow {
	rows := make([]outputRow, len(run.LayerOutputs))
	for i, o := range run.LayerOutputs {
		rows[i] = outputRow{
			RunID: run.AnalysisRunID, Position: i, Layer: o.Layer, Provider: o.Provider, Version: o.Version,
			RuntimeMS: o.RuntimeMS, FallbackReason: o.FallbackReason, Confidence: o.Confidence, Output: string(o.Output),
		}
	}
	return rows
}

func (o outputRow) output() contract.LayerOutput {
	return contract.LayerOutput{
		Layer: o.Layer, Confidence: o.Confidence, Output: json.RawMessage(o.Output),
		LayerProvenance: contract.LayerProvenance{
			Provider: o.Provider, Version: o.Version, RuntimeMS: o.RuntimeMS, FallbackReason: o.FallbackReason,
		},
	}
}
