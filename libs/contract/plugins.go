package contract

import (
	"encoding/json"
	"time"
)

// ArtifactAnalyze is the type of the artifact of an analyze job.
const ArtifactAnalyze = "analyze_result"

// AnalyzePayload is the payload of an analyze job. Exactly one of DocumentID and
// BranchID is set.
type AnalyzePayload struct {
	DocumentID string `json:"document_id,omitempty"`
	BranchID   string `json:"branch_id,omitempty"`
	// Layers are those to compute, in this order; none means all.
	Layers []string `json:"layers,omitempty"`
	// Mode is PUBLIC or RAW; empty means PUBLIC.
	Mode string `json:"mode,omitempty"`
	// PluginProfile names the chain of plugins; empty and unknown names mean
	// deterministic.
	PluginProfile string `json:"plugin_profile,omitempty"`
}

// AnalyzeResult is the result of an analyze job.
type AnalyzeResult struct {
	AnalysisRunID string `json:"analysis_run_id"`
	DocumentID    string `json:"document_id"`
	Mode          string `json:"mode" enum:"PUBLIC,RAW"`
	// PluginProfile is the profile that was used.
	PluginProfile string `json:"plugin_profile"`
	// Layers holds the output of each layer computed, a JSON object. It is null
	// for the layers in LayersOmitted, whose output is read from the run.
	Layers map[string]json.RawMessage `json:"layers"`
	// LayersOmitted are layers whose output does not fit a job's result.
	LayersOmitted []string `json:"layers_omitted,omitempty"`
	// ConfidenceBundle is the confidence of each layer, 0 to 1.
	ConfidenceBundle map[string]float64 `json:"confidence_bundle"`
	// HypergraphIDs names the nodes of the document's graph: of its atoms the
	// first MaxAnalyzeAtoms.
	HypergraphIDs HypergraphIDs `json:"hypergraph_ids"`
	// PluginProvenance says for each layer who computed it.
	PluginProvenance map[string]LayerProvenance `json:"plugin_provenance"`
}

// MaxAnalyzeAtoms bounds the atom nodes named in an AnalyzeResult.
const MaxAnalyzeAtoms = 100

// LayerProvenance says who computed a layer.
type LayerProvenance struct {
	Provider string `json:"provider"`
	Version  string `json:"version"`
	// RuntimeMS is how long the provider took, in milliseconds; 0 when every
	// plugin of the chain was passed over.
	RuntimeMS int64 `json:"runtime_ms"`
	// FallbackReason says which plugins were passed over and why; null when the
	// first of the chain served.
	FallbackReason *string `json:"fallback_reason"`
}

// AnalyzeArtifact is the payload of the artifact of an analyze job.
type AnalyzeArtifact struct {
	AnalysisRunID string `json:"analysis_run_id"`
	LayerCount    int    `json:"layer_count"`
}

// Limits of AnalysisRunsRequest.
const (
	// MaxAnalysisRuns is the most runs of one page, DefaultAnalysisRuns the
	// number when none is asked for.
	MaxAnalysisRuns     = 1000
	DefaultAnalysisRuns = 100
)

// AnalysisRunsRequest selects analysis runs, newest first.
type AnalysisRunsRequest struct {
	// DocumentID, when set, selects the runs of one document.
	DocumentID string `json:"document_id,omitempty"`
	// Limit is 1 to MaxAnalysisRuns; 0 means DefaultAnalysisRuns.
	Limit  int `json:"limit,omitempty"`
	Offset int `json:"offset,omitempty"`
}

// AnalysisRunsReply is one page of analysis runs.
type AnalysisRunsReply struct {
	Runs   []AnalysisRunSummary `json:"runs"`
	Limit  int                  `json:"limit"`
	Offset int                  `json:"offset"`
}

// AnalysisRunSummary is an analysis run as lists show it.
type AnalysisRunSummary struct {
	AnalysisRunID string `json:"analysis_run_id"`
	// JobID is the job that made the run.
	JobID         string   `json:"job_id"`
	DocumentID    *string  `json:"document_id"`
	BranchID      *string  `json:"branch_id"`
	Mode          string   `json:"mode" enum:"PUBLIC,RAW"`
	PluginProfile string   `json:"plugin_profile"`
	Modality      Modality `json:"modality" enum:"text,pdf,image,audio,binary"`
	// SourceChecksum is that of the version that was analysed: the SHA-256 of the
	// document's bytes, in hex.
	SourceChecksum string `json:"source_checksum"`
	// Layers are the layers computed, in order.
	Layers    []string  `json:"layers"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
}

// AnalysisRunRequest names one analysis run.
type AnalysisRunRequest struct {
	AnalysisRunID string `json:"analysis_run_id"`
}

// AnalysisRun is an analysis run with the outputs of its layers, in order. It
// always fits one message.
type AnalysisRun struct {
	AnalysisRunSummary
	HypergraphIDs HypergraphIDs `json:"hypergraph_ids"`
	LayerOutputs  []LayerOutput `json:"layer_outputs"`
}

// LayerOutput is one computed layer of an analysis run.
type LayerOutput struct {
	Layer string `json:"layer"`
	LayerProvenance
	// Confidence is 0 to 1.
	Confidence float64 `json:"confidence"`
	// Output is a JSON object; its fields depend on the layer.
	Output json.RawMessage `json:"output"`
}

// PluginStatus is how a plugin is doing.
type PluginStatus string

// The states of a plugin.
const (
	PluginOK PluginStatus = "ok"
	// PluginDisabled plugins are switched off by a setting.
	PluginDisabled PluginStatus = "disabled"
	// PluginFailing plugins did not pass their health check.
	PluginFailing PluginStatus = "failing"
)

// PluginsHealthRequest asks how the plugins are doing.
type PluginsHealthRequest struct{}

// PluginsHealthReply lists the plugins in the order they are registered, and
// the profiles by name.
type PluginsHealthReply struct {
	Plugins []PluginHealth `json:"plugins"`
	// Profiles names the plugins of each profile's chain, in order.
	Profiles map[string][]string `json:"profiles"`
}

// PluginHealth is one plugin and how it is doing.
type PluginHealth struct {
	Name       string       `json:"name"`
	Version    string       `json:"version"`
	Modalities []Modality   `json:"modalities"`
	Status     PluginStatus `json:"status" enum:"ok,disabled,failing"`
	// Detail says why the plugin is not ok; empty when it is.
	Detail string `json:"detail,omitempty"`
	// Abandoned is how many calls were given up on and have not returned.
	Abandoned int `json:"abandoned"`
}
