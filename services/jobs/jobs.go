// Package jobs is the service that owns the life of a job: it records what the
// doors admit, grants claims to workers, records results, retries, recovers and
// cancels. It is the only writer of the jobs schema.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	"nexus.internal/services/jobs/internal/catalog"
	"nexus.internal/services/jobs/internal/census"
	"nexus.internal/services/jobs/internal/job"
	"nexus.internal/services/jobs/internal/journal"
	"nexus.internal/services/jobs/internal/lifecycle"
	"nexus.internal/services/jobs/internal/prune"
	"nexus.internal/services/jobs/internal/record"
	"nexus.internal/services/jobs/internal/schedule"
	"nexus.internal/services/jobs/internal/store"
)

// Config are the settings of the service.
type Config struct {
	PollSeconds   float64 `env:"WORKER_POLL_SECONDS" envDefault:"1.0" doc:"How often the sweeper and the dispatcher look for what no signal announces, in seconds; at least 0.1."`
	BenchJobs     bool    `env:"BENCH_JOBS_ENABLED" envDefault:"false" doc:"Accept and run noop jobs, which the load programs use."`
	DeferHours    int     `env:"JOB_DEFER_HOURS" envDefault:"24" doc:"How long a job is put off, without cost to its attempts, while something it needs is unavailable, in hours; then it fails."`
	OutputBytes   int     `env:"JOB_OUTPUT_MAX_BYTES" envDefault:"67108864" doc:"The most that the result and the artifacts of a job together may have, in bytes; a job that makes more fails."`
	KeepSucceeded int     `env:"RETENTION_SUCCEEDED_HOURS" envDefault:"0" doc:"How long succeeded jobs are kept, in hours; 0 keeps them for ever."`
	KeepFailed    int     `env:"RETENTION_FAILED_HOURS" envDefault:"0" doc:"How long failed jobs are kept, in hours; 0 keeps them for ever."`
	KeepCancelled int     `env:"RETENTION_CANCELLED_HOURS" envDefault:"0" doc:"How long cancelled jobs are kept, in hours; 0 keeps them for ever."`
	BenchWorkers  int     `env:"BENCH_WORKERS" envDefault:"100" doc:"How many noop jobs run at once; 0 runs none."`
}

// minOutput is the least limit of outputs, in bytes: what fits a report always passes.
const minOutput = 1 << 20

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.PollSeconds < 0.1 || c.PollSeconds > 60 {
		errs = append(errs, fmt.Errorf("NEXUS_WORKER_POLL_SECONDS is %g: want 0.1 to 60", c.PollSeconds))
	}
	if c.BenchWorkers < 0 || c.BenchWorkers > 10_000 {
		errs = append(errs, fmt.Errorf("NEXUS_BENCH_WORKERS is %d: want 0 to 10000", c.BenchWorkers))
	}
	if c.DeferHours < 1 || c.DeferHours > 720 {
		errs = append(errs, fmt.Errorf("NEXUS_JOB_DEFER_HOURS is %d: want 1 to 720", c.DeferHours))
	}
	if c.OutputBytes < minOutput || c.OutputBytes > contract.MaxOutputBytes {
		errs = append(errs, fmt.Errorf("NEXUS_JOB_OUTPUT_MAX_BYTES is %d: want %d to %d", c.OutputBytes, minOutput, contract.MaxOutputBytes))
	}
	for name, hours := range map[string]int{"SUCCEEDED": c.KeepSucceeded, "FAILED": c.KeepFailed, "CANCELLED": c.KeepCancelled} {
		if hours < 0 || hours > 876_000 {
			errs = append(errs, fmt.Errorf("NEXUS_RETENTION_%s_HOURS is %d: want 0 to 876000", name, hours))
		}
	}
	return errors.Join(errs...)
}

// retention is how long finished jobs are kept, by their state; those that are
// not named are kept for ever.
func (c Config) retention() map[contract.Status]time.Duration {
	out := map[contract.Status]time.Duration{}
	for status, hours := range map[contract.Status]int{
		contract.StatusSucceeded: c.KeepSucceeded, contract.StatusFailed: c.KeepFailed, contract.StatusCancelled: c.KeepCancelled,
	} {
		if hours > 0 {
			out[status] = time.Duration(hours) * time.Hour
		}
	}
	return out
}

// Deps are what the service needs from the process.
type Deps struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	DB     *pg.DB
	Log    zerolog.Logger
	Tracer trace.TracerProvider
	// Metrics is what is measured; nil measures nothing.
	Metrics *metrics.Set
	Now     func() time.Time
	// Worker has the lease of all workers, and the identity under which this
	// process recovers and runs jobs.
	Worker worker.Settings
}

// Service is the jobs service.
type Service struct {
	cfg     Config
	deps    Deps
	store   *store.Store
	catalog *catalog.Catalog
	// wake tells the scheduler that a job may be due.
	wake       func()
	health     func(context.Context) error
	components []run.Component
}

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Service, error) {
	pub := bus.NewPublisher(deps.JS, "jobs", deps.Now)
	box := outbox.New(deps.DB, "jobs", pub, deps.Log)
	box.Measure(deps.Metrics)
	st := store.New(deps.DB, box, deps.Now)
	st.Observe(journal.Write(deps.Log))
	st.Measure(deps.Metrics)
	types := catalog.New(st, deps.Log)
	sched := schedule.New(st, deps.JS, types, time.Duration(cfg.PollSeconds*float64(time.Second)), deps.Worker.Lease(), deps.Worker.Name, deps.Log)
	life := lifecycle.New(st, types, lifecycle.Limits{
		Lease: deps.Worker.Lease(), Defer: time.Duration(cfg.DeferHours) * time.Hour, Output: cfg.OutputBytes,
	}, pub, deps.Now, deps.Log, deps.Tracer, sched.Wake)
	s := &Service{cfg: cfg, deps: deps, store: st, catalog: types, wake: sched.Wake}

	rpc := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "jobs")
	rpc.Measure(deps.Metrics)
	bus.Handle(rpc, contract.RPCJobsClaim, life.Claim)
	bus.Handle(rpc, contract.RPCJobsHeartbeat, life.Heartbeat)
	bus.Handle(rpc, contract.RPCJobsFinish, life.Finish)
	bus.Handle(rpc, contract.RPCJobsFinishLarge, life.Finish)
	bus.Handle(rpc, contract.RPCJobsPut, life.Put)
	s.handle(rpc)
	s.health = func(ctx context.Context) error {
		if err := st.Ping(ctx); err != nil {
			return err
		}
		return box.Check()
	}
	rpc.Health(s.health)
	rpc.Passing(pg.IsAway)

	recorder := record.New(deps.NC, deps.JS, st, types, pub, deps.Log, deps.Tracer, deps.Now)
	s.components = []run.Component{
		run.Func("bench job types", s.switchBench), box, types, run.Func("queue lanes", s.keepLanes), life, rpc, sched, recorder, prune.New(st, cfg.retention(), deps.Log),
		census.New(st, types, deps.Metrics, deps.Log), bus.NewMeter(deps.JS, deps.Metrics, deps.Log, s.consumers),
	}
	if cfg.BenchJobs && cfg.BenchWorkers > 0 {
		w, err := s.benchWorker()
		if err != nil {
			return nil, err
		}
		s.components = append(s.components, w)
	}
	return s, nil
}

// Health is what the service asks itself before it says that it can work.
func (s *Service) Health(ctx context.Context) error { return s.health(ctx) }

// consumers lists those whose lag this service tells: its own, and those of all
// queues, also of workers that are not ours.
func (s *Service) consumers() []bus.ConsumerName {
	out := []bus.ConsumerName{{Stream: contract.StreamCommands, Durable: contract.ConsumerRecorder}}
	queues := map[string]bool{}
	for _, t := range s.catalog.All() {
		queues[t.Queue] = true
	}
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		for _, lane := range contract.Lanes() {
			out = append(out, bus.ConsumerName{Stream: contract.StreamRuns, Durable: contract.RunConsumer(queue, lane.Priority)})
		}
	}
	return out
}

// Components lists the parts of the service in the order they start.
func (s *Service) Components() []run.Component { return s.components }

// StateMachine renders the state machine of a job as a Mermaid diagram.
func StateMachine() string { return job.Diagram() }

// switchBench makes noop jobs known, or unknown, before anything reads the
// job types.
func (s *Service) switchBench(ctx context.Context, ready func()) error {
	if err := s.store.SetJobTypeEnabled(ctx, contract.JobNoop, s.cfg.BenchJobs); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}

func (s *Service) benchWorker() (*worker.Worker, error) {
	return worker.New(s.deps.Worker.Config(contract.QueueBench, s.cfg.BenchWorkers),
		worker.Deps{NC: s.deps.NC, JS: s.deps.JS, Log: s.deps.Log, Tracer: s.deps.Tracer, Metrics: s.deps.Metrics}, map[string]worker.Handler{contract.JobNoop: noop})
}

// noop does nothing, so that the load programs measure the platform alone.
func noop(context.Context, worker.Job) (worker.Result, error) { return worker.Result{}, nil }
