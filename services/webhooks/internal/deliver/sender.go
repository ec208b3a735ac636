package deliver

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/metrics"
	"nexus.internal/services/webhooks/internal/hook"
	"nexus.internal/services/webhooks/internal/store"
)

const (
	// PerHost is how many posts one host gets at once from one process.
	PerHost = 4
	// lookEvery is how often is looked for what is due without a word of it: what
	// waited long enough, and what other processes wrote.
	lookEvery = time.Second
	// claimWithin and finishWithin bound the statements.
	claimWithin, finishWithin = 5 * time.Second, 10 * time.Second
	// leaseSlack is how much longer than a post its claim lasts: the statements
	// around it take time as well.
	leaseSlack = 30 * time.Second
)

// Store is where deliveries are kept.
type Store interface {
	Claim(ctx context.Context, room store.Room, lease time.Duration) ([]hook.Claimed, error)
	Finish(ctx context.Context, c hook.Claimed, r store.Result) error
}

// Poster posts a delivery.
type Poster interface {
	Post(ctx context.Context, d hook.Claimed) hook.Outcome
	// Close lets go of what posts have left open.
	Close()
}

// Disabler switches a subscription off and says why.
type Disabler interface {
	Disable(ctx context.Context, id uuid.UUID, reason string) error
}

// Sender is a run.Component.
type Sender struct {
	store       Store
	poster      Poster
	off         Disabler
	log         zerolog.Logger
	tracer      trace.Tracer
	concurrency int
	lease       time.Duration
	// woken has a word when something may be due, ended when a post has ended.
	woken chan struct{}
	ended chan hook.Claimed

	deliveries *metrics.Counter
	durations  *metrics.Histogram
}

// New makes a sender of up to concurrency posts at once, each of which takes at
// most timeout.
func New(st Store, poster Poster, off Disabler, log zerolog.Logger, tracer trace.Tracer, concurrency int, timeout time.Duration) *Sender {
	return &Sender{
		store: st, poster: poster, off: off, log: log, tracer: tracer, concurrency: concurrency, lease: timeout + leaseSlack,
		woken: make(chan struct{}, 1), ended: make(chan hook.Claimed, concurrency),
	}
}

// What came of a post, as it is counted.
const (
	delivered = "delivered"
	retried   = "retried"
	failed    = "failed"
)

// Measure counts deliveries from now on. It must be called before Run.
func (s *Sender) Measure(set *metrics.Set) {
	s.deliveries, s.durations = set.Counter(metrics.WebhookDeliveries), set.Histogram(metrics.WebhookDuration)
	for _, outcome := range []string{delivered, retried, failed} {
		s.deliveries.Expect(outcome)
	}
}

// count counts what came of a delivery.
func (s *Sender) count(r store.Result) {
	switch r.Status {
	case contract.DeliveryDelivered:
		s.deliveries.Add(1, delivered)
	case contract.DeliveryPending:
		s.deliveries.Add(1, retried)
	default:
		s.deliveries.Add(1, failed)
	}
}

// Name implements run.Component.
func (s *Sender) Name() string { return "webhook sender" }

// Wake says that something may be due.
func (s *Sender) Wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Run implements run.Component. When ctx ends nothing more is claimed, and the
// posts under way are finished.
func (s *Sender) Run(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var posting sync.WaitGroup
	defer s.poster.Close()
	defer posting.Wait()
	room, failing := s.room(), false
	for {
		if room.Free > 0 && ctx.Err() == nil && !failing {
			claimed, err := s.claim(ctx, room)
			if failing = err != nil; failing && ctx.Err() == nil {
				s.log.Warn().Err(err).Msg("could not look for deliveries that are due")
			}
			for _, c := range claimed {
				room.Free--
				room.Hosts[c.Host]++
				room.Owners[c.Owner]++
				posting.Go(func() { s.guarded(context.WithoutCancel(ctx), c); s.ended <- c })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case c := <-s.ended:
			room.Free++
			leave(room.Hosts, c.Host)
			leave(room.Owners, c.Owner)
		case <-s.woken:
		case <-tick.C:
			// A database that is away is asked once a second.
			failing = false
		}
	}
}

// room is that of a process with nothing under way. A quarter of it is nobody's
// alone: an owner whose receivers are all slow leaves it to others.
func (s *Sender) room() store.Room {
	return store.Room{Hosts: map[string]int{}, Owners: map[string]int{}, PerHost: PerHost, PerOwner: s.concurrency - s.concurrency/4, Free: s.concurrency}
}

// leave counts one post less.
func leave(counts map[string]int, name string) {
	if counts[name]--; counts[name] == 0 {
		delete(counts, name)
	}
}

func (s *Sender) claim(ctx context.Context, room store.Room) ([]hook.Claimed, error) {
	ctx, cancel := context.WithTimeout(ctx, claimWithin)
	defer cancel()
	return s.store.Claim(ctx, room, s.lease)
}

// disabledText is the error of deliveries whose subscription was switched off.
const disabledText = "the webhook is switched off"

// guarded delivers, and ends a delivery that makes us panic: it would do so again.
func (s *Sender) guarded(ctx context.Context, c hook.Claimed) {
	err := fault.Guard(func() error { s.deliver(ctx, c); return nil })
	if err == nil {
		return
	}
	s.log.Error().Err(err).Bytes("stack", fault.Stack(err)).Str("delivery_id", c.ID.String()).Msg("a delivery made us panic")
	s.finish(ctx, c, store.Result{Status: contract.DeliveryFailed, Error: "the delivery could not be made"})
}

// deliver posts one delivery and writes what came of it. Where that cannot be
// written the claim runs out, and the delivery is posted again.
func (s *Sender) deliver(ctx context.Context, c hook.Claimed) {
	ctx, span := s.tracer.Start(ctx, "deliver webhook", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("nexus.event", c.Event), attribute.String("server.address", c.Host)))
	defer span.End()
	if !c.Enabled {
		s.finish(ctx, c, store.Result{Status: contract.DeliveryFailed, Error: disabledText})
		return
	}
	start := time.Now()
	out := s.poster.Post(ctx, c)
	s.durations.Since(start)
	if out.Err != nil {
		span.SetStatus(codes.Error, out.Err.Error())
	}
	if out.Status == http.StatusGone && c.Subscription != nil {
		s.disable(ctx, *c.Subscription)
	}
	s.finish(ctx, c, judge(c, out))
}

func (s *Sender) disable(ctx context.Context, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	if err := s.off.Disable(ctx, id, "the receiver answered 410 Gone"); err != nil && !errors.Is(err, store.ErrUnknown) {
		s.log.Warn().Err(err).Str("webhook_id", id.String()).Msg("could not switch a webhook off; the next 410 does")
	}
}

// judge decides what becomes of a delivery.
func judge(c hook.Claimed, out hook.Outcome) store.Result {
	r := store.Result{Status: contract.DeliveryDelivered, ResponseStatus: out.Status}
	if out.Err == nil {
		return r
	}
	r.Status, r.Error = contract.DeliveryFailed, out.Err.Error()
	if out.Status == http.StatusGone {
		return r
	}
	if wait, more := hook.Wait(c.Attempts+1, out.RetryAfter); more {
		r.Status, r.Wait = contract.DeliveryPending, wait
	}
	return r
}

func (s *Sender) finish(ctx context.Context, c hook.Claimed, r store.Result) {
	s.count(r)
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	if err := s.store.Finish(ctx, c, r); err != nil {
		s.log.Warn().Err(err).Str("delivery_id", c.ID.String()).Msg("could not write what came of a delivery; it is made again")
	}
}
