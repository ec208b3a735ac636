package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// seedWithin is how long a seed text may take to come from its source.
const seedWithin = 30 * time.Second

type seedInput struct {
	Body struct {
		Title string `json:"title" maxLength:"200" doc:"The title of a seed text, as the list of them has it." example:"Frankenstein"`
	}
}

type seedOutput struct {
	Status int
	Body   contract.SeedReply
}

// provision has a seed text fetched, unless it is there, and ingests it.
func (s *Server) provision(ctx context.Context, in *seedInput) (*seedOutput, error) {
	fetched, err := s.seed(ctx, in.Body.Title)
	if err != nil {
		return nil, err
	}
	if fetched.DocumentID != nil {
		fetched.Status = contract.SeedAlreadyProvisioned
		return &seedOutput{http.StatusOK, fetched}, nil
	}
	job, err := s.runJob(ctx, contract.JobIngestBatch, ingestBody{SourcePaths: []string{*fetched.LocalPath}})
	if err != nil {
		return nil, err
	}
	if !job.Status.Finished() {
		fetched.Status = contract.SeedIngesting
		return &seedOutput{http.StatusAccepted, fetched}, nil
	}
	if fetched, err = s.seed(ctx, in.Body.Title); err != nil {
		return nil, err
	}
	if fetched.DocumentID == nil {
		return nil, notIngested(in.Body.Title, job)
	}
	return &seedOutput{http.StatusOK, fetched}, nil
}

func (s *Server) seed(ctx context.Context, title string) (contract.SeedReply, error) {
	ctx, cancel := context.WithTimeout(ctx, seedWithin)
	defer cancel()
	return bus.Call[contract.SeedReply](ctx, s.deps.NC, contract.RPCCorpusFetchSeed, contract.SeedRequest{Title: title})
}

// notIngested says why a text that was fetched makes no document.
func notIngested(title string, job contract.Job) error {
	var result contract.IngestBatchResult
	if err := json.Unmarshal(job.Result, &result); err != nil {
		return fmt.Errorf("read the result of job %s: %w", job.JobID, err)
	}
	reasons := slices.Concat(result.Errors, result.Warnings)
	if len(reasons) == 0 {
		return fault.Conflictf("%s was fetched and not ingested; see ingest job %s.", title, result.IngestJobID)
	}
	return fault.Conflictf("%s was fetched and cannot be ingested: %s", title, reasons[0])
}

func (s *Server) seedRoutes() {
	const tag = "Corpus"
	register(s, route{method: http.MethodGet, path: "/api/v1/corpus/seeds", id: "list-seed-texts", summary: "List the texts that a corpus may begin with", tag: tag},
		func(ctx context.Context, _ *none) (*body[contract.SeedsReply], error) {
			return ask[contract.SeedsReply](ctx, s, contract.RPCCorpusSeeds, contract.SeedsRequest{})
		})
	register(s, route{
		method: http.MethodPost, path: "/api/v1/corpus/seed", id: "provision-seed-text", summary: "Fetch a seed text and ingest it", tag: tag,
		errors: []int{http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity},
	}, s.provision)
}
