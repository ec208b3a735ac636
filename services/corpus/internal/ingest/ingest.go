package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/ingestid"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/extract"
	"nexus.internal/services/corpus/internal/modality"
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

// Objects keeps the raw bytes of files under their checksum (SHA-256 in hex). Keeping
// the same bytes twice is as good as once. A store that cannot take them now is a
// fault of kind Unavailable.
type Objects interface {
	Put(ctx context.Context, checksum string, data []byte) error
}

// Ingester ingests files. It may be used from several goroutines.
type Ingester struct {
	cfg     Config
	store   *store.Store
	objects Objects
	content *extract.Extractor
	log     zerolog.Logger
}

// Progress is how far an ingest has come.
type Progress struct {
	// Done of Total files are recorded.
	Done, Total int
	// Path is the file that was recorded last, Status what became of it.
	Path   string
	Status contract.FileStatus
}

// New makes an ingester.
func New(cfg Config, s *store.Store, objects Objects, content *extract.Extractor, log zerolog.Logger) *Ingester {
	return &Ingester{cfg: cfg, store: s, objects: objects, content: content, log: log}
}

// Run ingests what a job asks for. A job that was interrupted goes on where it
// stopped when it is run again, and one that was completed gives the same result
// again: the ingest's id follows from the job's, and what became of a file is
// recorded once. Errors that another run cannot mend are *source.MissingRootError,
// *source.EscapeError, *source.PathTooLongError and *source.TooManyFilesError.
// report hears of each file that is recorded, from several goroutines.
func (g *Ingester) Run(ctx context.Context, jobID string, request Request, report func(Progress)) (contract.IngestBatchResult, error) {
	in := store.Ingest{ID: ingestid.Of(jobID), JobID: jobID, Scope: request.Scope()}
	before, err := g.store.Ingest(ctx, in.ID)
	switch {
	case err == nil && (before.Status == contract.IngestCompleted || before.Status == contract.IngestCompletedWithErrors):
		return before.IngestBatchResult, nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return contract.IngestBatchResult{}, err
	}
	if err := g.run(ctx, in, request, report); err != nil {
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

func (g *Ingester) run(ctx context.Context, in store.Ingest, request Request, report func(Progress)) (err error) {
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
	b := &batch{Ingester: g, root: root, request: request, total: len(listing.Files), report: report}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(g.cfg.Parallel)
	for i, file := range listing.Files {
		if recorded[file.Path] {
			b.done.Add(1)
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
	total   int
	done    atomic.Int64
	report  func(Progress)
}

// tell reports that a file is recorded.
func (b *batch) tell(path string, status contract.FileStatus) {
	b.report(Progress{Done: int(b.done.Add(1)), Total: b.total, Path: path, Status: status})
}

// record records what became of a file that makes no document.
func (b *batch) record(ctx context.Context, r store.FileRecord) error {
	if err := b.store.RecordFile(ctx, r); err != nil {
		return err
	}
	b.tell(r.Path, r.Status)
	return nil
}

// ingest decides what becomes of one file and has it recorded. What is wrong
// with the file is recorded too; an error means that nothing could be.
func (b *batch) ingest(ctx context.Context, file source.File, ref store.FileRef) error {
	kind := modality.OfPath(file.Path)
	if !b.request.Filter.Wants(kind) {
		return b.record(ctx, store.FileRecord{
			FileRef: ref, Status: contract.FileSkipped,
			Reason: fmt.Sprintf("its modality, %s, was not asked for", kind),
		})
	}
	ctx, whole := b.span(ctx, "ingest file", attribute.Int("nexus.file", ref.Position), attribute.String("nexus.modality", string(kind)))
	defer whole.End()
	_, span := b.span(ctx, "read file")
	data, err := b.root.Read(file, b.cfg.MaxFileBytes)
	end(span, err)
	if err != nil {
		return b.record(ctx, store.FileRecord{FileRef: ref, Status: contract.FileError, Reason: err.Error()})
	}
	extracting, span := b.span(ctx, "extract text")
	d, err := b.documentOf(extracting, file.Path, kind, data)
	end(span, err)
	var problem extract.Problem
	switch {
	case errors.As(err, &problem):
		return b.record(ctx, store.FileRecord{
			FileRef: ref, Status: contract.FileError, Checksum: document.Checksum(data), Reason: string(problem),
		})
	case err != nil:
		return err
	}
	storing, span := b.span(ctx, "store file")
	became, err := b.keep(storing, ref, d, data)
	end(span, err)
	if err != nil {
		return err
	}
	b.tell(file.Path, became)
	return nil
}

// keep stores the bytes of a file, and what was made of them.
func (b *batch) keep(ctx context.Context, ref store.FileRef, d document.Document, data []byte) (contract.FileStatus, error) {
	if err := b.objects.Put(ctx, d.Checksum, data); err != nil {
		return "", err
	}
	return b.store.SaveDocument(ctx, ref, d, b.request.Force)
}

// span begins a span below that of the job. The path of the file is not told: it is
// part of what the job is about.
func (b *batch) span(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer("nexus.internal/services/corpus/ingest")
	return tracer.Start(ctx, name, trace.WithAttributes(attributes...))
}

// end ends a span; what the error says may repeat the file.
func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// documentOf makes a document of a file's bytes. An extract.Problem says why the
// bytes are not what the file's modality promises.
func (b *batch) documentOf(ctx context.Context, path string, kind contract.Modality, data []byte) (document.Document, error) {
	d := document.Document{
		ID: document.IDOf(path), Path: path, Stem: document.Stem(path), Title: filepath.Base(path),
		Modality: kind, Status: contract.FileIngested, Checksum: document.Checksum(data), Bytes: int64(len(data)),
	}
	content, err := b.content.Extract(ctx, path, kind, data)
	if err != nil {
		return document.Document{}, err
	}
	if content.Conflict {
		d.Status = contract.FileConflict
		return d, nil
	}
	d.Text, d.Segments, d.Warning = content.Text, content.Segments, content.Warning
	d.Selection = atom.Nothing()
	if kind == contract.ModalityText || kind == contract.ModalityPDF {
		d.Selection = b.request.Selection
	}
	return d, nil
}
