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
	// leaseSlack is how much longer than a post its claim lasts.
	leaseSlack = 30 * time.Second
)

// Store is where deliveries are kept.
type Store interface {
	Claim(ctx context.Context, busy map[string]int, perHost, limit int, lease time.Duration) ([]hook.Claimed, error)
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
	ended chan string
}

// New makes a sender of up to concurrency posts at once, each of which takes at
// most timeout.
func New(st Store, poster Poster, off Disabler, log zerolog.Logger, tracer trace.Tracer, concurrency int, timeout time.Duration) *Sender {
	return &Sender{
		store: st, poster: poster, off: off, log: log, tracer: tracer, concurrency: concurrency, lease: timeout + leaseSlack,
		woken: make(chan struct{}, 1), ended: make(chan string, concurrency),
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
	busy, underWay, failing := map[string]int{}, 0, false
	for {
		if free := s.concurrency - underWay; free > 0 && ctx.Err() == nil && !failing {
			claimed, err := s.claim(ctx, busy, free)
			if failing = err != nil; failing && ctx.Err() == nil {
				s.log.Warn().Err(err).Msg("could not look for deliveries that are due")
			}
			for _, c := range claimed {
				underWay++
				busy[c.Host]++
				posting.Go(func() { s.deliver(context.WithoutCancel(ctx), c); s.ended <- c.Host })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case host := <-s.ended:
			underWay--
			if busy[host]--; busy[host] == 0 {
				delete(busy, host)
			}
		case <-s.woken:
		case <-tick.C:
			// A database that is away is asked once a second.
			failing = false
		}
	}
}

func (s *Sender) claim(ctx context.Context, busy map[string]int, free int) ([]hook.Claimed, error) {
	ctx, cancel := context.WithTimeout(ctx, claimWithin)
	defer cancel()
	return s.store.Claim(ctx, busy, PerHost, free, s.lease)
}

// disabledText is the error of deliveries whose subscription was switched off.
const disabledText = "the webhook is switched off"

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
	out := s.poster.Post(ctx, c)
	if out.Err != nil {
		span.SetStatus(codes.Error, out.Err.Error())
	}
	if out.Status == http.StatusGone && c.Subscription != nil {
		if err := s.off.Disable(ctx, *c.Subscription, "the receiver answered 410 Gone"); err != nil && !errors.Is(err, store.ErrUnknown) {
			s.log.Warn().Err(err).Str("webhook_id", c.Subscription.String()).Msg("could not switch a webhook off; it is tried again")
		}
	}
	s.finish(ctx, c, judge(c, out))
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
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	if err := s.store.Finish(ctx, c, r); err != nil {
		s.log.Warn().Err(err).Str("delivery_id", c.ID.String()).Msg("could not write what came of a delivery; it is made again")
	}
}
