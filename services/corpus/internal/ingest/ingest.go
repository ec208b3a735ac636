package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/modality"
	"nexus.internal/services/corpus/internal/objectstore"
	"nexus.internal/services/corpus/internal/plaintext"
	"nexus.internal/services/corpus/internal/source"
	"nexus.internal/services/corpus/internal/store"
)

// failTimeout bounds how long recording a failure may take.
const failTimeout = 5 * time.Second

// Config says where the corpus is and how much of it one ingest may take.
type Config struct {
	CorpusRoot string
	// Excluded folders inside the corpus root are no part of the corpus.
	Excluded []string
	// MaxFileBytes is the largest file, MaxFiles the most files of one ingest.
	MaxFileBytes int64
	MaxFiles     int
	// Parallel is how many files of one ingest are worked on at once.
	Parallel int
}

// Ingester ingests files. It may be used from several goroutines.
type Ingester struct {
	cfg     Config
	store   *store.Store
	objects *objectstore.Store
	log     zerolog.Logger
}

// New makes an ingester.
func New(cfg Config, s *store.Store, objects *objectstore.Store, log zerolog.Logger) *Ingester {
	return &Ingester{cfg: cfg, store: s, objects: objects, log: log}
}

// Run ingests what a job asks for. A job that was interrupted goes on where it
// stopped when it is run again, and one that was completed gives the same result
// again: the ingest's id follows from the job's, and what became of a file is
// recorded once. Errors that another run cannot mend are *source.MissingRootError,
// *source.EscapeError, *source.PathTooLongError and *source.TooManyFilesError.
func (g *Ingester) Run(ctx context.Context, jobID string, request Request) (contract.IngestBatchResult, error) {
	in := store.Ingest{ID: document.IngestJobID(jobID), JobID: jobID, Scope: request.Scope()}
	before, err := g.store.Ingest(ctx, in.ID)
	switch {
	case err == nil && before.Status == contract.IngestCompleted:
		return before.IngestBatchResult, nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return contract.IngestBatchResult{}, err
	}
	if err := g.run(ctx, in, request); err != nil {
		return contract.IngestBatchResult{}, errors.Join(err, g.fail(ctx, in, err))
	}
	after, err := g.store.Ingest(ctx, in.ID)
	if err != nil {
		return contract.IngestBatchResult{}, err
	}
	return after.IngestBatchResult, nil
}

// fail records why an ingest stopped, also when it stopped because ctx ended.
func (g *Ingester) fail(ctx context.Context, in store.Ingest, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout)
	defer cancel()
	return g.store.FailIngest(ctx, in.ID, cause.Error())
}

func (g *Ingester) run(ctx context.Context, in store.Ingest, request Request) (err error) {
	root, err := source.Open(g.cfg.CorpusRoot, g.cfg.Excluded...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	listing, err := root.Expand(ctx, request.Paths, g.cfg.MaxFiles)
	if err != nil {
		return err
	}
	in.Notes = append(append([]string{}, request.Notes...), listing.Notes...)
	if err := g.store.BeginIngest(ctx, in); err != nil {
		return err
	}
	recorded, err := g.store.RecordedFiles(ctx, in.ID)
	if err != nil {
		return err
	}
	g.log.Debug().Stringer("ingest_job_id", in.ID).Int("files", len(listing.Files)).
		Int("recorded_before", len(recorded)).Msg("ingesting files")
	b := &batch{Ingester: g, root: root, request: request}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(g.cfg.Parallel)
	for i, file := range listing.Files {
		if recorded[file.Path] {
			continue
		}
		group.Go(func() error {
			if err := groupCtx.Err(); err != nil {
				return err
			}
			return fault.Guard(func() error {
				return b.ingest(groupCtx, file, store.FileRef{IngestJobID: in.ID, Position: i, Path: file.Path})
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return g.store.CompleteIngest(ctx, in.ID)
}

// batch is one request on its way.
type batch struct {
	*Ingester
	root    *source.Root
	request Request
}

// ingest decides what becomes of one file and has it recorded. What is wrong
// with the file is recorded too; an error means that nothing could be.
func (b *batch) ingest(ctx context.Context, file source.File, ref store.FileRef) error {
	kind := modality.OfPath(file.Path)
	if !b.request.Filter.Wants(kind) {
		return b.store.RecordFile(ctx, store.FileRecord{
			FileRef: ref, Status: contract.FileSkipped,
			Reason: fmt.Sprintf("its modality, %s, was not asked for", kind),
		})
	}
	data, err := b.root.Read(file, b.cfg.MaxFileBytes)
	if err != nil {
		return b.store.RecordFile(ctx, store.FileRecord{FileRef: ref, Status: contract.FileError, Reason: err.Error()})
	}
	d, err := b.documentOf(file.Path, kind, data)
	if err != nil {
		return b.store.RecordFile(ctx, store.FileRecord{
			FileRef: ref, Status: contract.FileError, Checksum: document.Checksum(data), Reason: err.Error(),
		})
	}
	if err := b.objects.Put(d.Checksum, data); err != nil {
		return err
	}
	return b.store.SaveDocument(ctx, ref, d, b.request.Force)
}

// documentOf makes a document of a file's bytes. An error says why the bytes are
// not what the file's modality promises.
func (b *batch) documentOf(path string, kind contract.Modality, data []byte) (document.Document, error) {
	d := document.Document{
		ID: document.IDOf(path), Path: path, Stem: document.Stem(path), Title: plaintext.Title(path, ""),
		Modality: kind, Status: contract.FileSkipped, Checksum: document.Checksum(data), Bytes: int64(len(data)),
	}
	if kind != contract.ModalityText {
		return d, nil
	}
	text, err := plaintext.Decode(data)
	if err != nil {
		return document.Document{}, err
	}
	if plaintext.InConflict(text) {
		d.Status = contract.FileConflict
		return d, nil
	}
	d.Status = contract.FileIngested
	d.Title = plaintext.Title(path, text)
	d.Text = text
	d.Segments = plaintext.Segments(path, text)
	d.Selection = b.request.Selection
	return d, nil
}
