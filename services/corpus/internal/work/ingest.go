package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/worker"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/source"
)

// CodeEscapesCorpusRoot is the code of the fault that a path outside the corpus
// root makes.
const CodeEscapesCorpusRoot = "escapes_corpus_root"

// IngestBatch returns the handler of ingest_batch jobs. A payload may name up to
// maxPaths paths.
func IngestBatch(ingester *ingest.Ingester, maxPaths int) worker.Handler {
	return func(ctx context.Context, job worker.Job) (worker.Result, error) {
		request, err := ingest.ParseRequest(job.Payload, maxPaths)
		if err != nil {
			return worker.Result{}, worker.Permanent(fault.Invalidf(contract.CodeInvalid, "%v", err))
		}
		result, err := ingester.Run(ctx, job.ID, request, func(p ingest.Progress) {
			job.Progress(100*float64(p.Done)/float64(p.Total), fmt.Sprintf("%d of %d files: %s %s", p.Done, p.Total, filepath.Base(p.Path), p.Status))
		})
		if err != nil {
			return worker.Result{}, classify(err)
		}
		artifact, err := json.Marshal(contract.IngestBatchArtifact{
			IngestJobID: result.IngestJobID, DocumentsIngested: result.DocumentsIngested,
		})
		if err != nil {
			return worker.Result{}, fmt.Errorf("encode the artifact: %w", err)
		}
		return worker.Result{Value: result, Artifacts: []contract.Artifact{{
			Type: contract.ArtifactIngestBatch, Ref: result.IngestJobID, Payload: artifact,
		}}}, nil
	}
}

// classify marks the errors that another attempt cannot mend, and those that are over
// when the corpus can be read again.
func classify(err error) error {
	var escape *source.EscapeError
	var long *source.PathTooLongError
	var many *source.TooManyFilesError
	var missing *source.MissingRootError
	switch {
	case errors.As(err, &escape):
		return worker.Permanent(fault.Invalidf(CodeEscapesCorpusRoot, "%v", escape))
	case errors.As(err, &long):
		return worker.Permanent(fault.Invalidf(contract.CodeInvalid, "%v", long))
	case errors.As(err, &many):
		return worker.Permanent(fault.New(fault.TooLarge, "", many.Error()))
	case errors.As(err, &missing) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		// It is there, on a disk that cannot be read now.
		return fault.Wrap(fault.Unavailable, err, "The corpus cannot be read now.")
	case errors.As(err, &missing):
		return worker.Permanent(fault.New(fault.Unavailable, "corpus_root_missing", missing.Error()))
	default:
		return err
	}
}
