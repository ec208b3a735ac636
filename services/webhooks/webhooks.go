// Package webhooks is the service that tells receivers outside what happens to
// jobs: it keeps who wants to hear of what, turns events into deliveries, and
// posts each, signed, until it arrives or has been tried for long enough.
package webhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
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
	"nexus.internal/libs/publicnet"
	"nexus.internal/libs/run"
	"nexus.internal/services/webhooks/internal/consent"
	"nexus.internal/services/webhooks/internal/deliver"
	"nexus.internal/services/webhooks/internal/interest"
	"nexus.internal/services/webhooks/internal/jobhook"
	"nexus.internal/services/webhooks/internal/manage"
	"nexus.internal/services/webhooks/internal/prune"
	"nexus.internal/services/webhooks/internal/record"
	"nexus.internal/services/webhooks/internal/store"
)

// Config are the settings of the service.
type Config struct {
	Timeout        time.Duration `env:"WEBHOOKS_TIMEOUT" envDefault:"10s" doc:"How long the receiver of a webhook may take to answer."`
	Concurrency    int           `env:"WEBHOOKS_CONCURRENCY" envDefault:"16" doc:"How many webhooks a process posts at once; one host gets at most 4 of them."`
	AllowPrivate   bool          `env:"WEBHOOKS_ALLOW_PRIVATE" envDefault:"false" doc:"Let webhooks reach private and local addresses; gateways have to be told as well. Whoever may submit jobs can then make Nexus post to what is inside."`
	DeliveredHours int           `env:"WEBHOOKS_DELIVERED_HOURS" envDefault:"168" doc:"How long deliveries that arrived are kept, in hours."`
	FailedHours    int           `env:"WEBHOOKS_FAILED_HOURS" envDefault:"720" doc:"How long deliveries that failed are kept, in hours."`
}

// maxTimeout leaves the posts under way time to end when the process stops.
const maxTimeout = 20 * time.Second

// consentEvery is how often the owners of webhooks that hear of the jobs of
// everybody are asked for, unless Deps say otherwise.
const consentEvery = time.Minute

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.Timeout < 100*time.Millisecond || c.Timeout > maxTimeout {
		errs = append(errs, fmt.Errorf("NEXUS_WEBHOOKS_TIMEOUT is %s: want 100ms to %s", c.Timeout, maxTimeout))
	}
	for _, v := range []struct {
		name             string
		value, low, high int
	}{
		{"CONCURRENCY", c.Concurrency, 1, 1000},
		{"DELIVERED_HOURS", c.DeliveredHours, 1, 100_000},
		{"FAILED_HOURS", c.FailedHours, 1, 100_000},
	} {
		if v.value < v.low || v.value > v.high {
			errs = append(errs, fmt.Errorf("NEXUS_WEBHOOKS_%s is %d: want %d to %d", v.name, v.value, v.low, v.high))
		}
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
	// Metrics is what is measured; nil measures nothing.
	Metrics *metrics.Set
	Now     func() time.Time
	// Resolver says where names lead; nil is that of the machine.
	Resolver publicnet.Resolver
	// ConsentEvery is how often is asked whether those who hear of the jobs of
	// everybody are still admins; zero means a minute.
	ConsentEvery time.Duration
}

// Service is the webhooks service.
type Service struct {
	health     func(context.Context) error
	components []run.Component
}

// Health is what the service asks itself before it says that it can work.
func (s *Service) Health(ctx context.Context) error { return s.health(ctx) }

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Service, error) {
	box := outbox.New(deps.DB, "webhooks", bus.NewPublisher(deps.JS, "webhooks", deps.Now), deps.Log)
	box.Measure(deps.Metrics)
	st := store.New(deps.DB, box)
	tracer := deps.Tracer.Tracer("nexus.internal/services/webhooks")
	known := interest.New(st, deps.Log)
	// Here a change counts at once; other processes see it within a second.
	refresh := func(ctx context.Context) {
		if err := known.Refresh(ctx); err != nil {
			deps.Log.Warn().Err(err).Msg("could not look for changed webhooks; it is tried again")
		}
	}
	var sender *deliver.Sender
	manager := manage.New(st, refresh, func() { sender.Wake() }, reachable(cfg, deps), deps.Now)
	client := deliver.NewClient(cfg.Timeout, cfg.AllowPrivate, deliver.PerHost, deps.Now)
	sender = deliver.New(st, client, manager, deps.Log, tracer, cfg.Concurrency, cfg.Timeout)
	sender.Measure(deps.Metrics)
	recorder := record.New(deps.JS, known, jobhook.New(deps.NC), st, sender.Wake, deps.Log, tracer)
	rpc := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "webhooks")
	rpc.Measure(deps.Metrics)
	rpc.Health(st.Ping)
	rpc.Passing(pg.IsAway)
	answer(rpc, manager)
	// Who writes deliveries stops before who posts them.
	return &Service{health: st.Ping, components: []run.Component{
		box, known, sender, recorder, consent.New(deps.NC, known, manager, deps.Log, cmp.Or(deps.ConsentEvery, consentEvery)),
		prune.New(st, deps.Log, time.Duration(cfg.DeliveredHours)*time.Hour, time.Duration(cfg.FailedHours)*time.Hour), rpc,
		bus.NewMeter(deps.JS, deps.Metrics, deps.Log, consumers),
	}}, nil
}

// reachable knows what will not be posted to.
func reachable(cfg Config, deps Deps) func(ctx context.Context, host string) error {
	if cfg.AllowPrivate {
		return func(context.Context, string) error { return nil }
	}
	guard, resolver := publicnet.New(), deps.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return func(ctx context.Context, host string) error { return guard.CheckName(ctx, resolver, host) }
}

func answer(rpc *bus.RPC, m *manage.Manager) {
	bus.Handle(rpc, contract.RPCWebhooks, m.List)
	bus.Handle(rpc, contract.RPCWebhook, m.Get)
	bus.Handle(rpc, contract.RPCWebhookCreate, m.Create)
	bus.Handle(rpc, contract.RPCWebhookUpdate, m.Update)
	bus.Handle(rpc, contract.RPCWebhookDelete, m.Delete)
	bus.Handle(rpc, contract.RPCWebhookSecret, m.Secret)
	bus.Handle(rpc, contract.RPCWebhookDeliveries, m.Deliveries)
	bus.Handle(rpc, contract.RPCWebhookRedeliver, m.Redeliver)
}

// consumers lists those of the service.
func consumers() []bus.ConsumerName {
	return []bus.ConsumerName{{Stream: contract.StreamEvents, Durable: contract.ConsumerWebhooks}}
}

// Components lists the parts of the service in the order they start.
func (s *Service) Components() []run.Component { return s.components }
