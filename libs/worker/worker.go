// Package worker runs jobs: it takes run messages as its slots become free,
// claims the jobs, runs their handlers under a lease that a supervisor renews,
// reports the results and acknowledges the messages.
//
// What a job does belongs to the handlers; what may happen to a job is decided
// by the jobs service, which can refuse every claim and every result.
package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/batch"
	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/telemetry"
)

// Config says which jobs a worker takes and how many at once.
type Config struct {
	// Name is the worker's identity; see NewIdentity.
	Name string
	// Queue is the queue it serves.
	Queue string
	// Concurrency is how many handlers run at once.
	Concurrency int
	// Lease is how long a claim lasts without a heartbeat.
	Lease time.Duration
	// Grace is how long running handlers may take to end after a stop.
	Grace time.Duration
}

// Deps are what a worker needs from the process.
type Deps struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	Log    zerolog.Logger
	Tracer trace.TracerProvider
	// Metrics is what is measured; nil measures nothing.
	Metrics *metrics.Set
	// Fault gives the errors of handlers that have no kind of fault one where it can,
	// such as those of a database that is away. Without it they stay as they are.
	Fault func(error) error
}

// Job is one attempt at a job, as its handler sees it.
type Job struct {
	ID          string
	Type        string
	Attempt     int
	MaxAttempts int
	Payload     json.RawMessage
	// ExecutionMode is how the submitter wanted the answer.
	ExecutionMode contract.ExecutionMode
	// CreatedBy is the verified owner of the key that submitted the job.
	CreatedBy string
	RequestID string

	report func(percent float64, message string)
}

// Result is what a successful run leaves behind.
type Result struct {
	// Value becomes the job's result; it must encode to JSON.
	Value any
	// Artifacts are kept beside the result. The result and their payloads together
	// may have as many bytes as the jobs service is set to keep of a job.
	Artifacts []contract.Artifact
}

// Handler runs one attempt. It must stop soon after ctx ends. A job can be run
// more than once, so what a handler writes must be the same the second time.
// Errors lead to another attempt unless they are Permanent; Snooze puts the job
// off without costing one, and so does an error of kind fault.Unavailable: what the
// job needs is waited for, ever longer and for hours.
type Handler func(ctx context.Context, job Job) (Result, error)

// Worker is a run.Component.
type Worker struct {
	cfg      Config
	deps     Deps
	log      zerolog.Logger
	tracer   trace.Tracer
	handlers map[string]Handler

	slots *slots
	limit *Limit
	lanes *lanes
	// handling holds a token for each handler at work.
	handling chan struct{}
	held     *heldJobs
	// news says that a run reported progress.
	news     chan struct{}
	claims   *batch.Batcher[*item]
	finishes *batch.Batcher[*item]
	working  sync.WaitGroup
	// stopping is closed when the worker takes no more, left when it waits no longer
	// for what it has.
	stopping, left chan struct{}
}

// NewIdentity makes a worker name nobody else has: {hostname}-{pid}-{8 hex}.
func NewIdentity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("look up the host name: %w", err)
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a worker identity: %w", err)
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), hex.EncodeToString(b[:])), nil
}

// New makes a worker with a handler for each job type it knows.
func New(cfg Config, deps Deps, handlers map[string]Handler) (*Worker, error) {
	var errs []error
	if cfg.Name == "" {
		errs = append(errs, errors.New("a worker needs a name"))
	}
	if !contract.ValidToken(cfg.Queue) {
		errs = append(errs, fmt.Errorf("queue %q is not a valid name", cfg.Queue))
	}
	if cfg.Concurrency < 1 {
		errs = append(errs, fmt.Errorf("concurrency is %d: want at least 1", cfg.Concurrency))
	}
	if cfg.Lease < time.Second {
		errs = append(errs, fmt.Errorf("lease is %s: want at least 1s", cfg.Lease))
	}
	if len(handlers) == 0 {
		errs = append(errs, errors.New("a worker needs a handler"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, deps: deps, handlers: handlers,
		log:      deps.Log.With().Str(telemetry.FieldWorker, cfg.Name).Str("queue", cfg.Queue).Logger(),
		tracer:   deps.Tracer.Tracer("nexus.internal/libs/worker"),
		slots:    newSlots(cfg.Concurrency),
		lanes:    newLanes(cfg.Queue),
		handling: make(chan struct{}, cfg.Concurrency),
		held:     newHeldJobs(),
		news:     make(chan struct{}, 1),
		stopping: make(chan struct{}), left: make(chan struct{}),
	}
	w.claims = batch.New(batch.Options[*item]{Max: contract.MaxBatch, Writers: 2, Flush: w.claim, Spoiled: w.unclaimed})
	w.finishes = batch.New(batch.Options[*item]{
		Max: contract.MaxBatch, MaxWeight: contract.MaxMessage / 2, Weigh: (*item).resultWeight, Writers: 2, Flush: w.report, Spoiled: w.spoiled,
	})
	deps.Metrics.Observe(metrics.WorkerSlots, func(say metrics.Say) { say(float64(cfg.Concurrency), cfg.Queue) })
	deps.Metrics.Observe(metrics.WorkerRunning, func(say metrics.Say) { say(float64(len(w.handling)), cfg.Queue) })
	return w, nil
}

// LimitTo lets the worker run no more jobs than l allows. It is called before
// Run.
func (w *Worker) LimitTo(l *Limit) { w.limit = l }

// Name implements run.Component.
func (w *Worker) Name() string { return "worker " + w.cfg.Queue }

func (w *Worker) jobTypes() []string {
	types := make([]string, 0, len(w.handlers))
	for t := range w.handlers {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// Run implements run.Component. When ctx ends it fetches no more, lets running
// handlers finish for the grace period, then stops them and gives their jobs
// back, at no cost to their attempts.
func (w *Worker) Run(ctx context.Context, ready func()) error {
	cancels, err := w.deps.NC.Subscribe(contract.PatternCancel, bus.Guarded(w.log, w.onCancel))
	if err != nil {
		return fmt.Errorf("listen for cancellations: %w", err)
	}
	defer func() { _ = cancels.Unsubscribe() }()

	// The parts behind the fetch live on while running jobs end.
	tail, stopTail := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTail()
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){w.claims.Run, w.finishes.Run, w.supervise} {
		parts.Go(func() { part(tail) })
	}
	ready()
	w.fetchUntil(ctx)
	close(w.stopping)
	w.log.Info().Int("jobs", w.held.len()).Dur("grace_ms", w.cfg.Grace).Msg("no more jobs are taken; waiting for those that run")
	w.drain()
	w.log.Info().Msg("no job runs here any more")
	close(w.left)
	stopTail()
	parts.Wait()
	return nil
}

// drain waits for what is running, then stops it.
func (w *Worker) drain() {
	idle := make(chan struct{})
	go func() {
		w.working.Wait()
		close(idle)
	}()
	grace := time.NewTimer(w.cfg.Grace)
	defer grace.Stop()
	select {
	case <-idle:
		return
	case <-grace.C:
	}
	w.held.stop(errReleased)
	last := time.NewTimer(abandonAfter + 10*time.Second)
	defer last.Stop()
	select {
	case <-idle:
	case <-last.C:
		w.log.Error().Msg("some jobs could not be given back; their leases will run out")
	}
}
