package corpus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/libs/worker"
	"nexus.internal/services/corpus/internal/branch"
	"nexus.internal/services/corpus/internal/compose"
	"nexus.internal/services/corpus/internal/extract"
	"nexus.internal/services/corpus/internal/governance"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/objectstore"
	"nexus.internal/services/corpus/internal/pdf"
	"nexus.internal/services/corpus/internal/rpc"
	"nexus.internal/services/corpus/internal/seed"
	"nexus.internal/services/corpus/internal/source"
	"nexus.internal/services/corpus/internal/store"
	"nexus.internal/services/corpus/internal/work"
)

// Config are the settings of the service.
type Config struct {
	CorpusRoot string `env:"CORPUS_ROOT" envDefault:"examples/corpus" doc:"Folder that holds the corpus; only files inside it are ingested."`
	// ObjectStorageRoot has no default of its own: whoever reads the settings
	// puts it inside the data directory.
	ObjectStorageRoot string `env:"OBJECT_STORAGE_ROOT" doc:"Folder that keeps the raw bytes of ingested files by checksum (default: objects in the data directory)."`

	MaxFileBytes int64 `env:"CORPUS_MAX_FILE_BYTES" envDefault:"16777216" doc:"Largest file that is ingested, and longest text of a PDF, in bytes."`
	MaxFiles     int   `env:"CORPUS_MAX_FILES" envDefault:"10000" doc:"Most files of one ingest."`
	Parallel     int   `env:"CORPUS_PARALLEL_FILES" envDefault:"4" doc:"Files of one ingest that are worked on at once."`

	PDFMemoryBytes int64   `env:"CORPUS_PDF_MEMORY_BYTES" envDefault:"268435456" doc:"Most memory that reading one PDF may take, in bytes; the file may be half as large."`
	PDFSeconds     float64 `env:"CORPUS_PDF_SECONDS" envDefault:"30" doc:"How long reading one PDF may take, in seconds."`
	PDFParallel    int     `env:"CORPUS_PDF_PARALLEL" envDefault:"2" doc:"PDFs that one process reads at once."`

	PDFCacheDir string `env:"CORPUS_PDF_CACHE_DIR" doc:"Folder that keeps the compiled PDF reader between starts, writable by Nexus alone; without one the first PDF of each process waits some seconds."`

	BranchMaxTextBytes int    `env:"BRANCH_MAX_TEXT_BYTES" envDefault:"4194304" doc:"Longest text of a branch, in bytes."`
	BlockedTerms       string `env:"GOVERNANCE_BLOCKED_TERMS" envDefault:"kill,self-harm,hate,ethnic cleansing,bioweapon,how to make a bomb" doc:"Terms that the policy looks for in texts, separated by commas; whole words, any case."`

	SeedSource string `env:"CORPUS_SEED_SOURCE" doc:"Folder or http(s) URL from which seed texts are fetched, as frankenstein.txt and so on; empty fetches each from where it is published."`

	WorkerConcurrency int `env:"CORPUS_WORKER_CONCURRENCY" envDefault:"2" doc:"Corpus jobs that one process runs at once."`

	S3 objectstore.S3Config
}

// Limits of the settings. A file of MaxFileBytes is held in memory as a whole,
// and its text must fit one value of Postgres.
const (
	maxFileBytes   = 256 << 20
	maxFiles       = 100_000
	maxConcurrency = 64
	minPDFMemory   = 32 << 20
	maxPDFMemory   = 2 << 30
	maxPDFSeconds  = 3600
	maxBranchText  = 16 << 20
)

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.CorpusRoot == "" {
		errs = append(errs, errors.New("NEXUS_CORPUS_ROOT is empty: want the folder that holds the corpus"))
	}
	for _, n := range []struct {
		name       string
		value, max int64
	}{
		{"CORPUS_MAX_FILE_BYTES", c.MaxFileBytes, maxFileBytes},
		{"CORPUS_MAX_FILES", int64(c.MaxFiles), maxFiles},
		{"CORPUS_PARALLEL_FILES", int64(c.Parallel), maxConcurrency},
		{"CORPUS_PDF_PARALLEL", int64(c.PDFParallel), maxConcurrency},
		{"CORPUS_WORKER_CONCURRENCY", int64(c.WorkerConcurrency), maxConcurrency},
		{"BRANCH_MAX_TEXT_BYTES", int64(c.BranchMaxTextBytes), maxBranchText},
	} {
		if n.value < 1 || n.value > n.max {
			errs = append(errs, fmt.Errorf("NEXUS_%s is %d: want 1 to %d", n.name, n.value, n.max))
		}
	}
	if c.PDFMemoryBytes < minPDFMemory || c.PDFMemoryBytes > maxPDFMemory {
		errs = append(errs, fmt.Errorf("NEXUS_CORPUS_PDF_MEMORY_BYTES is %d: want %d to %d", c.PDFMemoryBytes, minPDFMemory, maxPDFMemory))
	}
	if !(c.PDFSeconds > 0 && c.PDFSeconds <= maxPDFSeconds) {
		errs = append(errs, fmt.Errorf("NEXUS_CORPUS_PDF_SECONDS is %g: want more than 0, at most %d", c.PDFSeconds, maxPDFSeconds))
	}
	if _, err := governance.ParseTerms(c.BlockedTerms); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_GOVERNANCE_BLOCKED_TERMS: %w", err))
	}
	if _, err := seed.ParseOrigin(c.SeedSource); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_CORPUS_SEED_SOURCE: %w", err))
	}
	errs = append(errs, c.S3.Validate())
	return errors.Join(errs...)
}

// Deps are what the service needs from its process, which owns all of them.
type Deps struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	DB     *pg.DB
	Log    zerolog.Logger
	Tracer trace.TracerProvider
	// Metrics is what is measured; nil measures nothing.
	Metrics *metrics.Set
	Now     func() time.Time
	Worker  worker.Settings
}

// Service is the corpus service.
type Service struct {
	health     func(context.Context) error
	components []run.Component
}

// Health is what the service asks itself before it says that it can work.
func (s *Service) Health(ctx context.Context) error { return s.health(ctx) }

// New puts the service together. A corpus root that cannot be used is only
// warned about: it may come later, and reads do without it.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	if err := checkSettings(cfg); err != nil {
		return nil, err
	}
	objects, ping, err := openObjects(ctx, cfg, deps.Log)
	if err != nil {
		return nil, err
	}
	answers := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "corpus")
	answers.Measure(deps.Metrics)
	documents := store.New(deps.DB)
	health := func(ctx context.Context) error { return errors.Join(documents.Ping(ctx), ping(ctx)) }
	answers.Health(health)
	answers.Passing(pg.IsAway)
	branches := branch.New(documents, int64(cfg.BranchMaxTextBytes))
	box := outbox.New(deps.DB, "corpus", bus.NewPublisher(deps.JS, "corpus", deps.Now), deps.Log)
	box.Measure(deps.Metrics)
	terms, err := governance.ParseTerms(cfg.BlockedTerms)
	if err != nil {
		return nil, fmt.Errorf("corpus settings: NEXUS_GOVERNANCE_BLOCKED_TERMS: %w", err)
	}
	decider := governance.NewDecider(governance.New(terms), store.NewDecisions(documents, box), deps.Now)
	origin, err := seed.ParseOrigin(cfg.SeedSource)
	if err != nil {
		return nil, fmt.Errorf("corpus settings: NEXUS_CORPUS_SEED_SOURCE: %w", err)
	}
	rpc.New(documents).Register(answers)
	rpc.RegisterSeeds(seed.New(seed.Config{CorpusRoot: cfg.CorpusRoot, MaxFileBytes: cfg.MaxFileBytes}, origin, documents, deps.Log), answers)
	rpc.NewBranches(branches, documents).Register(answers)
	rpc.NewMixes(compose.New(branches, decider, documents), decider, documents).Register(answers)
	parts := []run.Component{box, answers}
	if !deps.Worker.Apart {
		jobs, err := ingestWorker(cfg, deps, objects)
		if err != nil {
			return nil, err
		}
		parts = append(parts, jobs)
	}
	return &Service{health: health, components: parts}, nil
}

// NewWorker makes the worker for corpus jobs, which New brings along unless
// workers are apart. Settings are those of New.
func NewWorker(ctx context.Context, cfg Config, deps Deps) (*worker.Worker, error) {
	if err := checkSettings(cfg); err != nil {
		return nil, err
	}
	objects, _, err := openObjects(ctx, cfg, deps.Log)
	if err != nil {
		return nil, err
	}
	return ingestWorker(cfg, deps, objects)
}

func ingestWorker(cfg Config, deps Deps, objects ingest.Objects) (*worker.Worker, error) {
	warnOfMissingRoot(cfg, deps.Log)
	documents := store.New(deps.DB)
	ingester := ingest.New(ingest.Config{
		CorpusRoot:   cfg.CorpusRoot,
		Excluded:     []string{cfg.ObjectStorageRoot},
		MaxFileBytes: cfg.MaxFileBytes,
		MaxFiles:     cfg.MaxFiles,
		Parallel:     cfg.Parallel,
	}, documents, objects, extract.New(pdf.NewReader(pdf.Limits{
		Memory: cfg.PDFMemoryBytes, Time: time.Duration(cfg.PDFSeconds * float64(time.Second)), Text: cfg.MaxFileBytes, Parallel: cfg.PDFParallel, Cache: cfg.PDFCacheDir,
	}), deps.Log), deps.Log)
	jobs, err := newWorker(cfg, deps, map[string]worker.Handler{
		contract.JobIngestBatch:    work.IngestBatch(ingester, cfg.MaxFiles),
		contract.JobIntegrityAudit: work.IntegrityAudit(documents),
		contract.JobBranchReplay:   work.BranchReplay(branch.New(documents, int64(cfg.BranchMaxTextBytes))),
	})
	if err != nil {
		return nil, fmt.Errorf("corpus worker: %w", err)
	}
	return jobs, nil
}

// openObjects opens where raw bytes are kept, and says how to ask whether it answers. A
// bucket that is away comes back; one that is not there, or refuses the key, is an error.
func openObjects(ctx context.Context, cfg Config, log zerolog.Logger) (objects ingest.Objects, ping func(context.Context) error, err error) {
	if !cfg.S3.Wanted() {
		folder := objectstore.New(cfg.ObjectStorageRoot)
		if err := folder.Check(); err != nil {
			return nil, nil, fmt.Errorf("NEXUS_OBJECT_STORAGE_ROOT is %q: %w", cfg.ObjectStorageRoot, err)
		}
		return folder, func(context.Context) error { return nil }, nil
	}
	bucket, err := objectstore.NewBucket(cfg.S3)
	if err != nil {
		return nil, nil, err
	}
	switch err := bucket.Check(ctx); {
	case errors.Is(err, objectstore.ErrRefused):
		return nil, nil, fmt.Errorf("NEXUS_S3_BUCKET: %w", err)
	case err != nil:
		log.Warn().Err(err).Msg("the object store does not answer; files are ingested once it does")
	}
	return bucket, bucket.Ping, nil
}

func checkSettings(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("corpus settings: %w", err)
	}
	if cfg.ObjectStorageRoot == "" {
		return errors.New("corpus settings: NEXUS_OBJECT_STORAGE_ROOT is empty: want a folder for the raw bytes of files")
	}
	return nil
}

func newWorker(cfg Config, deps Deps, handlers map[string]worker.Handler) (*worker.Worker, error) {
	return worker.New(deps.Worker.Config(contract.QueueCorpus, cfg.WorkerConcurrency), worker.Deps{NC: deps.NC, JS: deps.JS, Log: deps.Log, Tracer: deps.Tracer, Metrics: deps.Metrics, Fault: pg.Fault}, handlers)
}

func warnOfMissingRoot(cfg Config, log zerolog.Logger) {
	root, err := source.Open(cfg.CorpusRoot)
	if err == nil {
		err = root.Close()
	}
	if err != nil {
		log.Warn().Err(err).Msg("no corpus to ingest")
	}
}

// Components returns the parts to run, in the order they start: the answers
// before the worker, so that what a job writes can be read.
func (s *Service) Components() []run.Component {
	return s.components
}
