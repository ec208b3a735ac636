package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/ingestid"
)

type ingestBody struct {
	SourcePaths  []string       `json:"source_paths,omitempty" maxItems:"100000" doc:"Files and folders, relative to the corpus root or absolute inside it. None means the whole corpus root." example:"[\"essays\"]"`
	Modalities   []string       `json:"modalities,omitempty" maxItems:"16" doc:"Those to ingest, of text, pdf, image, audio and binary. None means all; files of another one are skipped."`
	ParseOptions map[string]any `json:"parse_options,omitempty" doc:"force ingests documents again that have not changed, atomize false makes no atoms, atom_tracks and atom_levels name tracks. Others are ignored with a warning."`
	AtomTracks   []string       `json:"atom_tracks,omitempty" maxItems:"16" doc:"Tracks to split texts by, of full, literary and glyphic_seed. None means full."`
}

type ingestInput struct{ Body ingestBody }

// ingested is the result of the ingest, and where to look when it has not ended.
type ingested struct {
	contract.IngestBatchResult
	JobID string `json:"job_id" format:"uuid" doc:"The job that does the work."`
}

type ingestOutput struct {
	Status int
	Body   ingested
}

// ingestBatch runs an ingest as a job and answers when it has ended: with 202, and
// what there is to ask for, when waiting takes too long.
func (s *Server) ingestBatch(ctx context.Context, in *ingestInput) (*ingestOutput, error) {
	job, err := s.runJob(ctx, contract.JobIngestBatch, in.Body)
	if err != nil {
		return nil, err
	}
	out := &ingestOutput{Status: http.StatusOK, Body: ingested{JobID: job.JobID}}
	if job.Status.Finished() {
		if err := json.Unmarshal(job.Result, &out.Body.IngestBatchResult); err != nil {
			return nil, fmt.Errorf("read the result of job %s: %w", job.JobID, err)
		}
		return out, nil
	}
	out.Status = http.StatusAccepted
	scope := contract.ScopePartial
	if len(in.Body.SourcePaths) == 0 {
		scope = contract.ScopeFull
	}
	out.Body.IngestBatchResult = contract.IngestBatchResult{
		IngestJobID: ingestid.Of(job.JobID).String(), IngestScope: scope, Status: contract.IngestRunning, Warnings: []string{}, Errors: []string{},
	}
	return out, nil
}
