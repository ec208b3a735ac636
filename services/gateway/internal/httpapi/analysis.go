package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/admission"
)

// What the status of an analysis says beside the states of a job.
const (
	analysisCompleted    = "completed"
	analysisShadowQueued = "shadow_queued"
)

type analyzeInput struct {
	Body struct {
		DocumentID    string   `json:"document_id,omitempty" maxLength:"64" doc:"The document to analyse; excludes branch_id."`
		BranchID      string   `json:"branch_id,omitempty" maxLength:"64" doc:"The branch to analyse; excludes document_id."`
		Layers        []string `json:"layers,omitempty" maxItems:"64" doc:"The layers to compute, in this order; none means all nine."`
		Mode          string   `json:"mode,omitempty" default:"PUBLIC" doc:"PUBLIC or RAW."`
		ExecutionMode string   `json:"execution_mode,omitempty" enum:"sync,async,shadow" default:"sync" doc:"sync answers with the analysis, async with its job. shadow answers as sync and has the work done once more by a job of its own; where it is off, it is sync."`
		PluginProfile string   `json:"plugin_profile,omitempty" maxLength:"64" doc:"The chain of plugins; unknown names mean deterministic."`
		ShadowProfile string   `json:"shadow_profile,omitempty" maxLength:"64" doc:"The chain of the shadow. Default: plugin_profile, or ml_first."`
	}
}

type analysis struct {
	AnalysisRunID    *string                             `json:"analysis_run_id" format:"uuid"`
	Mode             string                              `json:"mode" enum:"PUBLIC,RAW"`
	Layers           map[string]json.RawMessage          `json:"layers" doc:"The output of each layer."`
	ConfidenceBundle map[string]float64                  `json:"confidence_bundle"`
	HypergraphIDs    any                                 `json:"hypergraph_ids" doc:"The nodes of the document's graph."`
	PluginProvenance map[string]contract.LayerProvenance `json:"plugin_provenance" doc:"Who computed each layer."`
	JobID            *string                             `json:"job_id" format:"uuid" doc:"The job to follow: of an async analysis, of one that is not finished yet, or of the shadow."`
	Status           string                              `json:"status" enum:"completed,shadow_queued,accepted,queued,running,retry_wait,succeeded"`
}

type analyzeOutput struct {
	Status int
	Body   analysis
}

// analyze has an analyze job recorded, and unless it is async waits for its end.
func (s *Server) analyze(ctx context.Context, in *analyzeInput) (*analyzeOutput, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	ask, err := analyzeAsk(in)
	if err != nil {
		return nil, err
	}
	ask.RequestID = requestIDOf(ctx)
	sub, err := s.deps.Admission.Admit(ctx, caller, ask)
	if err != nil {
		return nil, err
	}
	mode := cmp.Or(in.Body.Mode, "PUBLIC")
	switch sub.ExecutionMode {
	case contract.ModeAsync:
		verdict, err := s.record(ctx, []contract.Submission{sub})
		if err != nil {
			return nil, err
		}
		return pending(sub.JobID, mode, verdict.Status), nil
	case contract.ModeShadow:
		both, err := withShadow(sub)
		if err != nil {
			return nil, err
		}
		return s.analysed(ctx, mode, both...)
	default:
		return s.analysed(ctx, mode, sub)
	}
}

// analyzeAsk checks what a job would only find out later.
func analyzeAsk(in *analyzeInput) (admission.Ask, error) {
	b := in.Body
	switch {
	case b.DocumentID == "" && b.BranchID == "":
		return admission.Ask{}, fault.Invalidf("validation_error", "give the document_id or the branch_id of what to analyse")
	case b.DocumentID != "" && b.BranchID != "":
		return admission.Ask{}, fault.Invalidf("validation_error", "give document_id or branch_id, not both")
	case b.DocumentID != "" && uuid.Validate(b.DocumentID) != nil:
		return admission.Ask{}, fault.NotFoundf("Document not found")
	case b.BranchID != "" && uuid.Validate(b.BranchID) != nil:
		return admission.Ask{}, fault.NotFoundf("Branch not found")
	}
	payload, err := contract.Encode(contract.AnalyzePayload{
		DocumentID: b.DocumentID, BranchID: b.BranchID, Layers: b.Layers, Mode: cmp.Or(b.Mode, "PUBLIC"), PluginProfile: b.PluginProfile, ShadowProfile: b.ShadowProfile,
	})
	return admission.Ask{
		JobType: contract.JobAnalyze, Payload: payload, ExecutionMode: contract.ExecutionMode(cmp.Or(b.ExecutionMode, string(contract.ModeSync))),
	}, err
}

// analysed waits for an analysis and answers with its run, or with its job when
// the wait ends first.
func (s *Server) analysed(ctx context.Context, mode string, subs ...contract.Submission) (*analyzeOutput, error) {
	job, err := s.runSubmissions(ctx, subs...)
	if err != nil {
		return nil, err
	}
	if job.Status != contract.StatusSucceeded {
		out := pending(job.JobID, mode, job.Status)
		out.Status = http.StatusAccepted
		return out, nil
	}
	id, err := runOf(job)
	if err != nil {
		return nil, err
	}
	run, err := bus.Call[contract.AnalysisRun](ctx, s.deps.NC, contract.RPCPluginsRun, contract.AnalysisRunRequest{AnalysisRunID: id})
	if err != nil {
		return nil, err
	}
	a := analysis{
		AnalysisRunID: &run.AnalysisRunID, Mode: run.Mode, HypergraphIDs: run.HypergraphIDs, Status: analysisCompleted,
		PluginProvenance: make(map[string]contract.LayerProvenance, len(run.LayerOutputs)),
	}
	a.Layers, a.ConfidenceBundle = bundles(run)
	for _, o := range run.LayerOutputs {
		a.PluginProvenance[o.Layer] = o.LayerProvenance
	}
	if len(subs) > 1 {
		a.Status, a.JobID = analysisShadowQueued, &subs[1].JobID
	}
	return &analyzeOutput{Status: http.StatusOK, Body: a}, nil
}

// runOf is the id of the run that an analyze job has left. Its artifact says so, too,
// where its result is too large to travel with it.
func runOf(job contract.Job) (string, error) {
	for _, a := range job.Artifacts {
		if a.ArtifactType == contract.ArtifactAnalyze && a.ArtifactRef != nil {
			return *a.ArtifactRef, nil
		}
	}
	var result struct {
		AnalysisRunID string `json:"analysis_run_id"`
	}
	err := contract.Decode(job.Result, &result)
	return result.AnalysisRunID, err
}

// pending answers with a job instead of an analysis.
func pending(jobID, mode string, status contract.Status) *analyzeOutput {
	out := &analyzeOutput{Status: http.StatusOK, Body: analysis{
		Mode: mode, Layers: map[string]json.RawMessage{}, ConfidenceBundle: map[string]float64{}, HypergraphIDs: struct{}{},
		PluginProvenance: map[string]contract.LayerProvenance{}, JobID: &jobID, Status: string(status),
	}}
	if status == contract.StatusAccepted {
		out.Status = http.StatusAccepted
	}
	return out
}

func bundles(run contract.AnalysisRun) (layers map[string]json.RawMessage, confidence map[string]float64) {
	layers, confidence = make(map[string]json.RawMessage, len(run.LayerOutputs)), make(map[string]float64, len(run.LayerOutputs))
	for _, o := range run.LayerOutputs {
		layers[o.Layer], confidence[o.Layer] = o.Output, o.Confidence
	}
	return layers, confidence
}

// analysisRun is a run as clients read it.
type analysisRun struct {
	contract.AnalysisRun
	ConfidenceBundle map[string]float64         `json:"confidence_bundle"`
	Results          map[string]json.RawMessage `json:"results" doc:"The output of each layer."`
	RunMetadata      runMetadata                `json:"run_metadata"`
}

type runMetadata struct {
	JobID          string            `json:"job_id" format:"uuid"`
	Modality       contract.Modality `json:"modality" enum:"text,pdf,image,audio,binary"`
	SourceChecksum string            `json:"source_checksum"`
	LayerCount     int               `json:"layer_count"`
	CreatedBy      string            `json:"created_by"`
}

func analysisRunOf(run contract.AnalysisRun) analysisRun {
	a := analysisRun{AnalysisRun: run, RunMetadata: runMetadata{
		JobID: run.JobID, Modality: run.Modality, SourceChecksum: run.SourceChecksum, LayerCount: len(run.LayerOutputs), CreatedBy: run.CreatedBy,
	}}
	a.Results, a.ConfidenceBundle = bundles(run)
	return a
}

func (s *Server) analysisRun(ctx context.Context, id string) (analysisRun, error) {
	run, err := bus.Call[contract.AnalysisRun](ctx, s.deps.NC, contract.RPCPluginsRun, contract.AnalysisRunRequest{AnalysisRunID: id})
	return analysisRunOf(run), err
}

// shadowStatusUnknown is the status of a shadow whose job is not there: it was
// pruned, as old jobs are.
const shadowStatusUnknown = "unknown"

type runAndShadow struct {
	Primary      analysisRun               `json:"primary"`
	Shadow       *analysisRun              `json:"shadow" doc:"Null while the shadow has left no run."`
	ShadowJobID  string                    `json:"shadow_job_id" format:"uuid"`
	ShadowStatus string                    `json:"shadow_status" enum:"accepted,queued,running,retry_wait,succeeded,failed,cancelled,unknown" doc:"The state of the shadow's job."`
	Comparison   contract.ShadowComparison `json:"comparison"`
}

// shadow sets a run beside its shadow.
func (s *Server) shadow(ctx context.Context, in *byID) (*body[runAndShadow], error) {
	found, err := bus.Call[contract.ShadowReply](ctx, s.deps.NC, contract.RPCPluginsShadow, contract.ShadowRequest{AnalysisRunID: in.ID})
	if err != nil {
		return nil, err
	}
	out := runAndShadow{ShadowJobID: found.ShadowJobID, Comparison: found.Comparison}
	if out.Primary, err = s.analysisRun(ctx, in.ID); err != nil {
		return nil, err
	}
	if found.ShadowRunID != nil {
		run, err := s.analysisRun(ctx, *found.ShadowRunID)
		if err != nil {
			return nil, err
		}
		out.Shadow = &run
	}
	job, err := bus.Call[contract.Job](ctx, s.deps.NC, contract.RPCJobsGet, contract.JobRequest{JobID: found.ShadowJobID})
	switch {
	case err == nil:
		out.ShadowStatus = string(job.Status)
	case fault.KindOf(err) == fault.NotFound:
		out.ShadowStatus = shadowStatusUnknown
		if _, err := s.deps.Accepted.Find(ctx, found.ShadowJobID); err == nil {
			out.ShadowStatus = string(contract.StatusAccepted)
		}
	default:
		return nil, err
	}
	return &body[runAndShadow]{Body: out}, nil
}

type rhetoricInput struct {
	Body *struct {
		Text            string         `json:"text,omitempty" doc:"The text to score; excludes document_id."`
		DocumentID      string         `json:"document_id,omitempty" maxLength:"64" doc:"The document to score. With neither an empty text is scored."`
		AudienceProfile map[string]any `json:"audience_profile,omitempty" doc:"Whom the text is for; given back as it is."`
	}
}

type rhetoric struct {
	contract.RhetoricReply
	AudienceProfile map[string]any `json:"audience_profile"`
}

func (s *Server) rhetoricalAnalysis(ctx context.Context, in *rhetoricInput) (*body[rhetoric], error) {
	var req contract.RhetoricRequest
	out := rhetoric{AudienceProfile: map[string]any{}}
	if in.Body != nil {
		req = contract.RhetoricRequest{Text: in.Body.Text, DocumentID: in.Body.DocumentID}
		if in.Body.AudienceProfile != nil {
			out.AudienceProfile = in.Body.AudienceProfile
		}
	}
	var err error
	if out.RhetoricReply, err = bus.Call[contract.RhetoricReply](ctx, s.deps.NC, contract.RPCPluginsRhetoric, req); err != nil {
		return nil, err
	}
	return &body[rhetoric]{Body: out}, nil
}

type runsQuery struct {
	Page
	DocumentID string `query:"document_id" format:"uuid" doc:"Only the runs of this document."`
}

func (s *Server) analysisRoutes() {
	const tag = "Analysis"
	wrong := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	missing := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	register(s, route{
		method: http.MethodPost, path: "/api/v1/analyze", id: "analyze", summary: "Analyse a document or a branch", tag: tag,
		errors: append(wrong, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge),
	}, s.analyze)
	register(s, route{method: http.MethodGet, path: "/api/v1/analysis/runs", id: "list-analysis-runs", summary: "List analysis runs, newest first", tag: tag, errors: missing[1:]},
		func(ctx context.Context, in *runsQuery) (*body[contract.AnalysisRunsReply], error) {
			return ask[contract.AnalysisRunsReply](ctx, s, contract.RPCPluginsRuns, contract.AnalysisRunsRequest{Limit: in.Limit, Offset: in.Offset, DocumentID: in.DocumentID})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/analysis/runs/{id}", id: "get-analysis-run", summary: "Read an analysis run with its layers", tag: tag, errors: missing},
		func(ctx context.Context, in *byID) (*body[analysisRun], error) {
			run, err := s.analysisRun(ctx, in.ID)
			return &body[analysisRun]{Body: run}, err
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/analysis/runs/{id}/shadow", id: "get-analysis-shadow", summary: "Set an analysis run beside its shadow", tag: tag, errors: missing}, s.shadow)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/rhetorical_analysis", id: "rhetorical-analysis", summary: "Score the rhetoric of a text", tag: tag,
		errors: append(wrong, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge),
	}, s.rhetoricalAnalysis)
	register(s, route{method: http.MethodGet, path: "/api/v1/plugins", id: "list-plugins", summary: "List the plugins and how they are doing", tag: tag},
		func(ctx context.Context, _ *none) (*body[contract.PluginsHealthReply], error) {
			return ask[contract.PluginsHealthReply](ctx, s, contract.RPCPluginsHealth, contract.PluginsHealthRequest{})
		})
}
