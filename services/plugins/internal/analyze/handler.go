package analyze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/worker"
	"nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
	"nexus.internal/services/plugins/internal/store"
)

// Handler runs analyze jobs. It may be used from several goroutines.
type Handler struct {
	documents *document.Reader
	gate      *Gate
	store     *store.Store
	// shadows holds a token for each shadow at work.
	shadows chan struct{}
}

// NewHandler makes a handler. Of the jobs at work at most shadows are shadows of
// others, at least one.
func NewHandler(documents *document.Reader, gate *Gate, runs *store.Store, shadows int) *Handler {
	return &Handler{documents: documents, gate: gate, store: runs, shadows: make(chan struct{}, max(1, shadows))}
}

// shadowWait is how long a shadow is put off that finds no room.
const shadowWait = 5 * time.Second

// Handle implements [worker.Handler]. A job that has left a run behind, in an
// attempt that ended before it could say so, gives the result of that run.
func (h *Handler) Handle(ctx context.Context, job worker.Job) (worker.Result, error) {
	req, err := parse(job.ID, job.Payload)
	if err != nil {
		return worker.Result{}, worker.Permanent(err)
	}
	if req.shadowOf != nil {
		// Shadows that are slow must not take the room of those who wait.
		select {
		case h.shadows <- struct{}{}:
			defer func() { <-h.shadows }()
		default:
			return worker.Result{}, worker.Snooze(shadowWait)
		}
	}
	id := runID(job.ID)
	run, err := h.store.Run(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		run, err = h.analyze(ctx, job, id, req)
	}
	if err != nil {
		return worker.Result{}, err
	}
	return resultOf(run)
}

// runID derives the id of a run from that of its job.
func runID(jobID string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("nexus.analysis_run."+jobID))
}

// analyze makes a run and returns it as it is kept.
func (h *Handler) analyze(ctx context.Context, job worker.Job, id uuid.UUID, req request) (contract.AnalysisRun, error) {
	doc, err := h.read(ctx, req.source)
	var refused *document.RefusedError
	if errors.As(err, &refused) {
		return contract.AnalysisRun{}, worker.Permanent(refused.Fault())
	}
	if err != nil {
		return contract.AnalysisRun{}, err
	}
	plugins, err := h.gate.For(ctx, req.profile, job.CreatedBy)
	if err != nil {
		return contract.AnalysisRun{}, err
	}
	layers, err := plugins.Run(ctx, req.profile, req.layers, layer.Read(doc.Text, string(doc.Modality)))
	if err != nil {
		return contract.AnalysisRun{}, fmt.Errorf("analyse %s: %w", doc.ID, err)
	}
	run := contract.AnalysisRun{
		AnalysisRunSummary: contract.AnalysisRunSummary{
			AnalysisRunID: id.String(), JobID: job.ID, Mode: string(req.mode),
			PluginProfile: plugins.Profile(req.profile), Modality: doc.Modality, SourceChecksum: doc.Checksum,
			CreatedBy: job.CreatedBy, ExecutionMode: modeOfRun(job), ShadowOf: req.shadowOf,
		},
		HypergraphIDs: doc.HypergraphIDs,
		LayerOutputs:  outputsOf(layers),
	}
	if req.source.branch {
		run.BranchID = &doc.ID
	} else {
		run.DocumentID = &doc.ID
	}
	if run.ExecutionMode == contract.ModeShadow {
		shadow := contract.ShadowJobID(job.ID)
		run.ShadowJobID = &shadow
	}
	if err := h.store.Save(ctx, run); err != nil {
		return contract.AnalysisRun{}, err
	}
	// Another attempt may have been faster: what counts is what is kept.
	return h.store.Run(ctx, id)
}

func (h *Handler) read(ctx context.Context, from source) (document.Document, error) {
	if from.branch {
		return h.documents.ReadBranch(ctx, from.id)
	}
	return h.documents.Read(ctx, from.id)
}

// modeOfRun is that of the job; one that was claimed from a service which does
// not say it is async.
func modeOfRun(job worker.Job) contract.ExecutionMode {
	return cmp.Or(job.ExecutionMode, contract.ModeAsync)
}

func outputsOf(layers []plugin.Layer) []contract.LayerOutput {
	outputs := make([]contract.LayerOutput, len(layers))
	for i, l := range layers {
		outputs[i] = contract.LayerOutput{
			Layer: string(l.Name), Confidence: l.Confidence, Output: l.Output,
			LayerProvenance: contract.LayerProvenance{
				Provider: l.Provider, Version: l.Version, RuntimeMS: l.Runtime.Milliseconds(), FallbackReason: reasonOf(l),
			},
		}
	}
	return outputs
}

func reasonOf(l plugin.Layer) *string {
	if l.FallbackReason == "" {
		return nil
	}
	return &l.FallbackReason
}
