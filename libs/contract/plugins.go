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
	// ShadowProfile is the profile of the shadow in execution mode shadow; empty
	// means PluginProfile, and where that is empty ml_first.
	ShadowProfile string `json:"shadow_profile,omitempty"`
	// ShadowOf is the job whose work this job does once more. It counts only where
	// this job has the id that ShadowJobID makes of it.
	ShadowOf string `json:"shadow_of,omitempty"`
}

// ProfileShadow is the profile of shadows where none is asked for.
const ProfileShadow = "ml_first"

// AnalyzeResult is the result of an analyze job.
type AnalyzeResult struct {
	AnalysisRunID string `json:"analysis_run_id"`
	// DocumentID or BranchID is what was analysed; the other one is nil.
	DocumentID *string `json:"document_id"`
	BranchID   *string `json:"branch_id"`
	Mode       string  `json:"mode" enum:"PUBLIC,RAW"`
	// PluginProfile is the profile that was used.
	PluginProfile string `json:"plugin_profile"`
	// Layers holds the output of each layer computed, a JSON object.
	Layers map[string]json.RawMessage `json:"layers"`
	// ConfidenceBundle is the confidence of each layer, 0 to 1.
	ConfidenceBundle map[string]float64 `json:"confidence_bundle"`
	// HypergraphIDs names the nodes of the document's graph: of its atoms the
	// first MaxAnalyzeAtoms. A branch has none.
	HypergraphIDs HypergraphIDs `json:"hypergraph_ids"`
	// PluginProvenance says for each layer who computed it.
	PluginProvenance map[string]LayerProvenance `json:"plugin_provenance"`
}

// MaxAnalyzeAtoms bounds the atom nodes named in an AnalyzeResult.
const MaxAnalyzeAtoms = 100

// LayerProvenance says who computed a layer.
type LayerProvenance struct {
	Provider string `json:"provider_name"`
	Version  string `json:"provider_version"`
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
	JobID      string  `json:"job_id"`
	DocumentID *string `json:"document_id"`
	BranchID   *string `json:"branch_id"`
	Mode       string  `json:"mode" enum:"PUBLIC,RAW"`
	// ExecutionMode is how the answer was wanted.
	ExecutionMode ExecutionMode `json:"execution_mode" enum:"async,sync,shadow"`
	PluginProfile string        `json:"plugin_profile"`
	Modality      Modality      `json:"modality" enum:"text,pdf,image,audio,binary"`
	// SourceChecksum is that of the version that was analysed: the SHA-256 of the
	// document's bytes, in hex.
	SourceChecksum string `json:"source_checksum"`
	// Layers are the layers computed, in order.
	Layers []string `json:"layers"`
	// ShadowJobID is the job of the run's shadow, ShadowOf the job whose shadow the
	// run is; null where there is none.
	ShadowJobID *string   `json:"shadow_job_id"`
	ShadowOf    *string   `json:"shadow_of"`
	CreatedBy   string    `json:"created_by"`
	CreatedAt   time.Time `json:"created_at"`
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
	Layer string `json:"layer_name"`
	LayerProvenance
	// Confidence is 0 to 1.
	Confidence float64 `json:"confidence"`
	// Output is a JSON object; its fields depend on the layer.
	Output json.RawMessage `json:"output"`
}

// ShadowRequest asks for the shadow of a run.
type ShadowRequest struct {
	AnalysisRunID string `json:"analysis_run_id"`
}

// ShadowReply sets a run and its shadow side by side. The runs themselves are
// read one by one: together they may be larger than a message.
type ShadowReply struct {
	ShadowJobID string `json:"shadow_job_id"`
	// ShadowRunID is null while the shadow has left no run.
	ShadowRunID *string          `json:"shadow_run_id"`
	Comparison  ShadowComparison `json:"comparison"`
}

// ShadowComparison is how a shadow differs from its run. It is empty while there
// is no shadow.
type ShadowComparison struct {
	Layers map[string]LayerDifference `json:"layers"`
	// ChangedLayers are those whose outputs differ, in the order of the run.
	ChangedLayers []string `json:"changed_layers"`
}

// LayerDifference is how one layer of a shadow differs from that of its run.
type LayerDifference struct {
	// Changed says that the outputs are not the same JSON.
	Changed bool `json:"changed"`
	// ConfidenceDelta and RuntimeDeltaMS are the shadow's less the run's.
	ConfidenceDelta float64 `json:"confidence_delta"`
	RuntimeDeltaMS  int64   `json:"runtime_delta_ms"`
}

// RhetoricRequest asks for the rhetoric of a text, or of a document. With neither
// an empty text is scored. It is answered with a RhetoricReply.
type RhetoricRequest struct {
	Text       string `json:"text,omitempty"`
	DocumentID string `json:"document_id,omitempty"`
}

// RhetoricReply is the baseline output of the layer rhetoric.
type RhetoricReply struct {
	EthosScore     float64         `json:"ethos_score"`
	PathosScore    float64         `json:"pathos_score"`
	LogosScore     float64         `json:"logos_score"`
	Strategies     []string        `json:"strategies"`
	Devices        []string        `json:"devices"`
	Fallacies      []string        `json:"fallacies"`
	Explainability json.RawMessage `json:"explainability"`
}

// PluginStatus is how a plugin is doing.
type PluginStatus string

// The states of a plugin.
const (
	PluginOK PluginStatus = "ok"
	// PluginDisabled plugins are switched off by a setting.
	PluginDisabled PluginStatus = "disabled"
	// PluginFailing plugins did not pass their health check, or have failed so
	// often that they are not called for a while.
	PluginFailing PluginStatus = "failing"
)

// PluginKind is where a plugin runs.
type PluginKind string

// Kinds of plugins.
const (
	// PluginGo plugins are part of the program.
	PluginGo PluginKind = "go"
	// PluginNATS plugins are other processes that answer on PluginSubject.
	PluginNATS PluginKind = "nats"
	// PluginWASM plugins are WebAssembly modules.
	PluginWASM PluginKind = "wasm"
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

// PluginHealth is one plugin and how it is doing, as the process that answers
// has seen it since it started.
type PluginHealth struct {
	Name string `json:"name"`
	// Version, Modalities and Layers are empty while the plugin has not described
	// itself.
	Version    string       `json:"version"`
	Kind       PluginKind   `json:"kind" enum:"go,nats,wasm"`
	Modalities []Modality   `json:"modalities"`
	Layers     []string     `json:"layers"`
	Health     PluginStatus `json:"health" enum:"ok,disabled,failing"`
	// Detail says why the plugin is not ok; empty when it is.
	Detail string `json:"detail,omitempty"`
	// Circuit is open while the plugin is not called because it has failed too
	// often, and half-open while one call finds out whether it is well again.
	Circuit string `json:"circuit" enum:"closed,half-open,open"`
	// TimeLimitMS is how long one call may take, in milliseconds.
	TimeLimitMS int64 `json:"time_limit_ms"`
	// Abandoned is how many calls were given up on and have not returned.
	Abandoned int `json:"abandoned"`
	// Latency is that of the last calls that succeeded.
	Latency PluginLatency `json:"latency"`
	// LastErrors are the newest failures, newest first.
	LastErrors []PluginError `json:"last_errors"`
}

// PluginLatency is how long calls took, in milliseconds.
type PluginLatency struct {
	// Calls counts those that succeeded, Failures those that did not.
	Calls    int64   `json:"calls"`
	Failures int64   `json:"failures"`
	AvgMS    float64 `json:"avg_ms"`
	P95MS    float64 `json:"p95_ms"`
	MaxMS    float64 `json:"max_ms"`
}

// PluginError is a failure of a plugin.
type PluginError struct {
	Time  time.Time `json:"time"`
	Layer string    `json:"layer"`
	Error string    `json:"error"`
}
