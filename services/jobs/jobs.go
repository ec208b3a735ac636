// Package jobs is the service that owns the life of a job: it records what the
// doors admit, grants claims to workers, records results, retries, recovers and
// cancels. It is the only writer of the jobs schema.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/libs/worker"
	"nexus.internal/services/jobs/internal/catalog"
	"nexus.internal/services/jobs/internal/job"
	"nexus.internal/services/jobs/internal/lifecycle"
	"nexus.internal/services/jobs/internal/record"
	"nexus.internal/services/jobs/internal/schedule"
	"nexus.internal/services/jobs/internal/store"
)

// Config are the settings of the service.
type Config struct {
	PollSeconds  float64 `env:"WORKER_POLL_SECONDS" envDefault:"1.0" doc:"How often the sweeper and the dispatcher look for what no signal announces, in seconds; at least 0.1."`
	BenchJobs    bool    `env:"BENCH_JOBS_ENABLED" envDefault:"false" doc:"Accept and run noop jobs, which the load programs use."`
	BenchWorkers int     `env:"BENCH_WORKERS" envDefault:"100" doc:"How many noop jobs run at once; 0 runs none."`
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.PollSeconds < 0.1 || c.PollSeconds > 60 {
		errs = append(errs, fmt.Errorf("NEXUS_WORKER_POLL_SECONDS is %g: want 0.1 to 60", c.PollSeconds))
	}
	if c.BenchWorkers < 0 || c.BenchWorkers > 10_000 {
		errs = append(errs, fmt.Errorf("NEXUS_BENCH_WORKERS is %d: want 0 to 10000", c.BenchWorkers))
	}
	return errors.Join(errs...)
}

// Deps are what the service needs from the process.
type Deps struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	DB     *pg.DB
	Log    zerolog.Logger
	Tracer trace.TracerProvider
	Now    func() time.Time
	// Worker has the lease of all workers, and the identity under which this
	// process recovers and runs jobs.
	Worker worker.Settings
}

// Service is the jobs service.
type Service struct {
	cfg        Config
	deps       Deps
	store      *store.Store
	components []run.Component
}

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Service, error) {
	pub := bus.NewPublisher(deps.JS, "jobs", deps.Now)
	box := outbox.New(deps.DB, "jobs", pub, deps.Log)
	st := store.New(deps.DB, box, deps.Now)
	types := catalog.New(st, deps.Log)
	sched := schedule.New(st, deps.JS, types, time.Duration(cfg.PollSeconds*float64(time.Second)), deps.Worker.Name, deps.Log)
	life := lifecycle.New(st, types, deps.Worker.Lease(), deps.Log, deps.Tracer, sched.Wake)
	s := &Service{cfg: cfg, deps: deps, store: st}

	rpc := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "jobs")
	bus.Handle(rpc, contract.RPCJobsClaim, life.Claim)
	bus.Handle(rpc, contract.RPCJobsHeartbeat, life.Heartbeat)
	bus.Handle(rpc, contract.RPCJobsFinish, life.Finish)
	bus.Handle(rpc, contract.RPCJobsGet, s.get)
	bus.Handle(rpc, contract.RPCJobsList, s.list)
	bus.Handle(rpc, contract.RPCJobsCancel, s.cancel)
	bus.Handle(rpc, contract.RPCJobsTypes, s.types)
	rpc.Health(st.Ping)

	recorder := record.New(deps.NC, deps.JS, st, types, pub, deps.Log, deps.Tracer)
	s.components = []run.Component{run.Func("bench job types", s.switchBench), box, types, life, rpc, sched, recorder}
	if cfg.BenchJobs && cfg.BenchWorkers > 0 {
		w, err := s.benchWorker()
		if err != nil {
			return nil, err
		}
		s.components = append(s.components, w)
	}
	return s, nil
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
		worker.Deps{NC: s.deps.NC, JS: s.deps.JS, Log: s.deps.Log, Tracer: s.deps.Tracer}, map[string]worker.Handler{contract.JobNoop: noop})
}

// noop does nothing, so that the load programs measure the platform alone.
func noop(context.Context, worker.Job) (worker.Result, error) { return worker.Result{}, nil }

func parseID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return uuid.UUID{}, fault.Unprocessablef("'%s' is not a job id", id)
	}
	return parsed, nil
}

func (s *Service) get(ctx context.Context, req contract.JobRequest) (contract.Job, error) {
	id, err := parseID(req.JobID)
	if err != nil {
		return contract.Job{}, err
	}
	return s.store.Get(ctx, id)
}

func (s *Service) list(ctx context.Context, req contract.ListJobsRequest) (contract.ListJobsReply, error) {
	if req.Limit < 1 || req.Limit > 1000 {
		return contract.ListJobsReply{}, fault.Unprocessablef("limit is %d: want 1 to 1000", req.Limit)
	}
	if req.Offset < 0 {
		return contract.ListJobsReply{}, fault.Unprocessablef("offset is %d: want 0 or more", req.Offset)
	}
	if req.Cursor != "" && req.Offset > 0 {
		return contract.ListJobsReply{}, fault.Unprocessablef("cursor and offset exclude each other")
	}
	jobs, next, err := s.store.List(ctx, req)
	if err != nil {
		return contract.ListJobsReply{}, err
	}
	return contract.ListJobsReply{Jobs: jobs, Limit: req.Limit, Offset: req.Offset, NextCursor: next}, nil
}

// cancel ends a job and tells whoever runs it.
func (s *Service) cancel(ctx context.Context, req contract.JobRequest) (contract.Job, error) {
	id, err := parseID(req.JobID)
	if err != nil {
		return contract.Job{}, err
	}
	wasRunning, cancelled, entry, err := s.store.Cancel(ctx, id, req.Actor)
	if err != nil {
		return contract.Job{}, err
	}
	if wasRunning {
		subject, err := contract.CancelSubject(id.String())
		if err == nil {
			err = s.deps.NC.Publish(subject, nil)
		}
		if err != nil {
			s.deps.Log.Warn().Err(err).Str("job_id", id.String()).Msg("could not tell the worker of a cancelled job; it learns it with its next heartbeat")
		}
	}
	if cancelled {
		if err := s.store.Publish(ctx, entry); err != nil {
			s.deps.Log.Warn().Err(err).Msg("could not publish a cancellation; the relay will")
		}
	}
	return s.store.Get(ctx, id)
}

func (s *Service) types(ctx context.Context, _ struct{}) (contract.JobTypesReply, error) {
	types, err := s.store.JobTypes(ctx)
	return contract.JobTypesReply{JobTypes: types}, err
}
