package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
)

const (
	// grace is how long handlers may go on when the service stops; a statement
	// takes less.
	grace = flushTimeout + 3*time.Second
	// Messages that cannot be kept, most likely because the database is away,
	// come again after one to ten seconds.
	firstRetry, lastRetry = time.Second, 10 * time.Second
	// deadInFlight bounds the dead letters handled at once.
	deadInFlight = 16
)

// Router reads events and dead letters and hands them to their keepers. It is
// a run.Component.
type Router struct {
	log    zerolog.Logger
	routes []route
	sub    func(inFlight int) (*wmjs.Subscriber, error)
}

type route struct {
	consumer string
	inFlight int
	handle   message.NoPublishHandlerFunc
}

// NewRouter makes a router that has up to inFlight messages with events in hand.
func NewRouter(js jetstream.JetStream, log zerolog.Logger, inFlight int, events, dead message.NoPublishHandlerFunc) *Router {
	return &Router{
		log: log,
		routes: []route{
			{contract.ConsumerAudit, inFlight, events},
			{contract.ConsumerDead, deadInFlight, dead},
		},
		sub: func(inFlight int) (*wmjs.Subscriber, error) {
			return wmjs.NewSubscriber(js, log, wmjs.SubscriberConfig{
				// The run lease shapes only consumers that are not read here.
				Resolve:  wmjs.Durables(contract.Consumers(0)),
				InFlight: inFlight, RetryDelay: wmjs.Backoff(firstRetry, lastRetry), Grace: grace,
			})
		},
	}
}

// Name implements run.Component.
func (r *Router) Name() string { return "audit router" }

// Run implements run.Component. When ctx ends, no more messages are taken and
// those in hand are finished.
func (r *Router) Run(ctx context.Context, ready func()) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: grace + 2*time.Second}, wmjs.NewLogger(r.log))
	if err != nil {
		return fmt.Errorf("make the router: %w", err)
	}
	var subs []*wmjs.Subscriber
	for _, route := range r.routes {
		sub, err := r.sub(route.inFlight)
		if err != nil {
			return err
		}
		subs = append(subs, sub)
		router.AddConsumerHandler(route.consumer, route.consumer, sub, route.handle)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- router.Run(ctx) }()
	select {
	case <-router.Running():
		ready()
		err = <-stopped
	case err = <-stopped:
	}
	for _, sub := range subs {
		err = errors.Join(err, sub.Close())
	}
	if err == nil && ctx.Err() == nil {
		return errors.New("the subscriptions have ended")
	}
	return err
}
