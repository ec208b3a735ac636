package wmjs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

// SubscriberConfig says what a subscriber reads and how.
type SubscriberConfig struct {
	// Resolve names the durable consumer behind a topic. It is asked again
	// whenever reading starts over; a consumer that is missing is created.
	Resolve func(topic string) (contract.Consumer, error)
	// InFlight bounds the messages of one subscription that were taken from
	// the broker and not settled; 64 when zero.
	InFlight int
	// RetryDelay is how long the broker keeps a message back that was nacked
	// on its attempt-th delivery; Backoff(100ms, 30s) when nil.
	RetryDelay func(attempt int) time.Duration
	// Grace is how long handlers may go on after a subscription has ended.
	// What they have not settled by then goes back to the broker; 15 seconds
	// when zero.
	Grace time.Duration
}

// Subscriber reads durable pull consumers of JetStream. It implements
// message.Subscriber and is safe for concurrent use.
type Subscriber struct {
	js  jetstream.JetStream
	log zerolog.Logger
	cfg SubscriberConfig

	mu      sync.Mutex
	closed  bool
	cancels map[*subscription]context.CancelFunc
	running sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber makes a subscriber. The connection behind js stays the caller's.
func NewSubscriber(js jetstream.JetStream, log zerolog.Logger, cfg SubscriberConfig) (*Subscriber, error) {
	if cfg.Resolve == nil {
		return nil, errors.New("a subscriber needs a function that resolves topics")
	}
	if cfg.InFlight < 0 || cfg.Grace < 0 {
		return nil, fmt.Errorf("a subscriber with %d messages in flight and a grace of %s", cfg.InFlight, cfg.Grace)
	}
	if cfg.InFlight == 0 {
		cfg.InFlight = 64
	}
	if cfg.RetryDelay == nil {
		cfg.RetryDelay = Backoff(100*time.Millisecond, 30*time.Second)
	}
	if cfg.Grace == 0 {
		cfg.Grace = 15 * time.Second
	}
	return &Subscriber{js: js, log: log, cfg: cfg, cancels: map[*subscription]context.CancelFunc{}}, nil
}

// Durables resolves topics that are names of durable consumers.
func Durables(consumers []contract.Consumer) func(topic string) (contract.Consumer, error) {
	return func(topic string) (contract.Consumer, error) {
		for _, c := range consumers {
			if c.Durable == topic {
				return c, nil
			}
		}
		return contract.Consumer{}, fmt.Errorf("there is no durable consumer %q", topic)
	}
}

// Backoff is a delay that starts at first and doubles with every attempt up to
// most, give or take a fifth so that messages nacked together do not come back
// together.
func Backoff(first, most time.Duration) func(attempt int) time.Duration {
	return func(attempt int) time.Duration {
		d := most
		// Beyond 30 doublings any first delay worth the name exceeds most.
		if n := max(0, attempt-1); n < 30 && first<<n > 0 {
			d = min(most, first<<n)
		}
		return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
	}
}

// Subscribe starts to read the consumer behind topic. Messages come in the
// order of the stream, up to InFlight of them before the first is acked; a
// nacked one comes again after those behind it.
//
// The channel is closed when ctx ends, when the subscriber is closed, or when
// the connection is closed for good. Anything less, such as a restarting broker
// or a consumer that disappeared, is logged and waited out.
//
// The context of a message has the values of ctx and its Delivery. It is not
// cancelled with ctx: a handler at work may finish within the grace period. It
// ends when the message is settled.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	sub := newSubscription(context.WithoutCancel(ctx), s, topic)
	p, err := sub.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
		p.close()
		return nil, fmt.Errorf("subscribe to %s: %w", topic, ErrClosed)
	}
	s.cancels[sub] = cancel
	s.running.Go(func() {
		sub.run(ctx, p)
		cancel()
		s.mu.Lock()
		delete(s.cancels, sub)
		s.mu.Unlock()
	})
	return sub.out, nil
}

// Close ends all subscriptions, waits up to the grace period for their
// handlers and gives back to the broker what is not settled by then. The
// connection stays open.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, cancel := range s.cancels {
		cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}
