package rpc

import (
	"context"
	"math"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// filesPage is how many files are read for a page at most: about as many as fit
// a message when their paths are of ordinary length.
const filesPage = 2500

// IngestJob returns an ingest with a page of its files.
func (a *Answers) IngestJob(ctx context.Context, req contract.IngestJobRequest) (contract.IngestJob, error) {
	notFound := fault.NotFoundf("Ingest job not found")
	id, err := uuid.Parse(req.IngestJobID)
	if err != nil {
		return contract.IngestJob{}, notFound
	}
	limit, err := pageLimits(req.FilesOffset, req.FilesLimit, filesPage, math.MaxInt32)
	if err != nil {
		return contract.IngestJob{}, err
	}
	job, err := a.store.Ingest(ctx, id)
	if err != nil {
		return contract.IngestJob{}, orNotFound(err, notFound)
	}
	files, err := a.store.IngestFiles(ctx, id, req.FilesOffset, min(limit, filesPage))
	if err != nil {
		return contract.IngestJob{}, err
	}
	count, err := fitting(files)
	if err != nil {
		return contract.IngestJob{}, err
	}
	job.Files = files[:count]
	if next := req.FilesOffset + count; next < job.FilesTotal {
		job.FilesNext = next
	}
	return job, nil
}
