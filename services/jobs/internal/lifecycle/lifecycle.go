// Package lifecycle answers the workers: it grants claims, renews leases and
// records how runs ended. Requests of many workers share transactions.
package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/batch"
	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/store"
)

// rest is the most a busy writer waits for more to write with the next commit.
const rest = 5 * time.Millisecond

// Types knows the job types.
type Types interface {
	All() map[string]contract.JobType
}

// Publisher publishes messages that nobody misses when they are lost.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Service is a run.Component; its methods answer requests while it runs.
type Service struct {
	store *store.Store
	types Types
	lease time.Duration
	// deferFor is how long a job may be put off because something it needs is
	// unavailable.
	deferFor time.Duration
	// maxOutput is how many bytes the outputs of a job together may have.
	maxOutput int
	// checking holds a token for each large output that is looked through.
	checking chan struct{}
	log      zerolog.Logger
	tracer   trace.Tracer
	events   Publisher
	now      func() time.Time
	pace     pace
	// retried is told when a job was put back to wait in Postgres.
	retried func()

	claims     *batch.Batcher[*claim]
	finishes   *batch.Batcher[*finish]
	publishing sync.WaitGroup
}

// Limits bound what workers do.
type Limits struct {
	// Lease is how long a claim lasts without a heartbeat.
	Lease time.Duration
	// Defer is how long a job may be put off because something it needs is
	// unavailable.
	Defer time.Duration
	// Output is how many bytes the outputs of a job together may have.
	Output int
}

// New makes the service. retried is called after jobs were put back to wait.
func New(st *store.Store, types Types, limits Limits, events Publisher, now func() time.Time, log zerolog.Logger, tracer trace.TracerProvider, retried func()) *Service {
	s := &Service{
		store: st, types: types, lease: limits.Lease, deferFor: limits.Defer, maxOutput: limits.Output, checking: make(chan struct{}, maxChecking), log: log, events: events, now: now, pace: pace{last: map[uuid.UUID]time.Time{}},
		tracer: tracer.Tracer("nexus.internal/services/jobs/lifecycle"), retried: retried,
	}
	s.claims = batch.New(batch.Options[*claim]{
		Max: contract.MaxBatch, MaxWeight: contract.MaxBatch, Weigh: func(c *claim) int { return len(c.leases) }, Rest: rest, Flush: s.flushClaims, Spoiled: spoiledClaim,
	})
	s.finishes = batch.New(batch.Options[*finish]{
		Max: contract.MaxBatch, MaxWeight: contract.MaxBatch, Weigh: func(f *finish) int { return len(f.results) }, Rest: rest, Flush: s.flushFinishes, Spoiled: spoiledFinish,
	})
	return s
}

// Name implements run.Component.
func (s *Service) Name() string { return "job lifecycle" }

// Run implements run.Component.
func (s *Service) Run(ctx context.Context, ready func()) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.claims.Run(ctx) })
	wg.Go(func() { s.finishes.Run(ctx) })
	ready()
	wg.Wait()
	s.publishing.Wait()
	return nil
}

// trouble is what the requests of a group that could not be written are told. Only a
// database that is away is something to wait for: a worker repeats what it wants of
// one for as long as it takes. Whatever else goes wrong is logged by those who answer.
func (s *Service) trouble(err error, jobs int, what string) error {
	err = pg.Fault(err)
	if fault.KindOf(err) == fault.Unavailable {
		s.log.Warn().Err(err).Int("jobs", jobs).Msg(what)
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// startSpan continues the trace of the first request and links those of the
// others: one transaction serves many.
func (s *Service) startSpan(ctx context.Context, name string, requests []context.Context) (context.Context, trace.Span) {
	var links []trace.Link
	for _, r := range requests[1:] {
		if trace.SpanContextFromContext(r).IsValid() {
			links = append(links, trace.LinkFromContext(r))
		}
	}
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(requests[0]))
	return s.tracer.Start(ctx, name, trace.WithLinks(links...))
}

// publish sends what a transaction caused, beside the next one.
func (s *Service) publish(ctx context.Context, entry outbox.Entry) {
	s.publishing.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := fault.Guard(func() error { return s.store.Publish(ctx, entry) }); err != nil {
			s.log.Warn().Err(err).Msg("could not publish a change; the relay will")
		}
	})
}

// spoiledClaim and spoiledFinish answer a request that made us panic.
func spoiledClaim(_ context.Context, c *claim, err error) {
	select {
	case c.reply <- claimReply{err: err}:
	default:
	}
}

func spoiledFinish(_ context.Context, f *finish, err error) {
	select {
	case f.reply <- finishReply{err: err}:
	default:
	}
}

func checkBatch(n int) error {
	if n > contract.MaxBatch {
		return fault.Invalidf("too_many", "The request has %d entries; the limit is %d.", n, contract.MaxBatch)
	}
	return nil
}

func parseLease(ref contract.LeaseRef, worker string) (store.Lease, error) {
	id, err := uuid.Parse(ref.JobID)
	if err != nil {
		return store.Lease{}, fault.Invalidf("bad_job_id", "%q is not a job id.", ref.JobID)
	}
	token, err := uuid.Parse(ref.LeaseToken)
	if err != nil {
		return store.Lease{}, fault.Invalidf("bad_lease_token", "The lease token of job %s is not a UUID.", ref.JobID)
	}
	return store.Lease{JobID: id, Token: token, Worker: worker}, nil
}

func parseLeases(refs []contract.LeaseRef, worker string) ([]store.Lease, error) {
	if worker == "" {
		return nil, fault.Invalidf("no_worker", "The request names no worker.")
	}
	if err := checkBatch(len(refs)); err != nil {
		return nil, err
	}
	out := make([]store.Lease, len(refs))
	for i, ref := range refs {
		var err error
		if out[i], err = parseLease(ref, worker); err != nil {
			return nil, err
		}
	}
	return out, nil
}
