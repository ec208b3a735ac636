// Package audit is the service that owns the audit trail: it keeps every event
// that the platform publishes and every message that nobody could handle, adds
// to both and changes neither, and answers questions about the trail.
package audit

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
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/services/audit/internal/deadletter"
	"nexus.internal/services/audit/internal/query"
	"nexus.internal/services/audit/internal/record"
	"nexus.internal/services/audit/internal/store"
)

// Config are the settings of the service.
type Config struct {
	InFlight        int `env:"AUDIT_IN_FLIGHT" envDefault:"1024" doc:"How many messages with events are handled at once."`
	BatchBytes      int `env:"AUDIT_BATCH_BYTES" envDefault:"4194304" doc:"How many bytes of events one statement writes, roughly."`
	DeadLetterBytes int `env:"AUDIT_DEAD_LETTER_BYTES" envDefault:"1048576" doc:"How many bytes of a dead letter's body are kept."`
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	for _, v := range []struct {
		name             string
		value, low, high int
	}{
		{"IN_FLIGHT", c.InFlight, 1, 10_000},
		{"BATCH_BYTES", c.BatchBytes, 1024, 64 << 20},
		{"DEAD_LETTER_BYTES", c.DeadLetterBytes, 0, 64 << 20},
	} {
		if v.value < v.low || v.value > v.high {
			errs = append(errs, fmt.Errorf("NEXUS_AUDIT_%s is %d: want %d to %d", v.name, v.value, v.low, v.high))
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
}

// Service is the audit service.
type Service struct {
	health     func(context.Context) error
	components []run.Component
}

// Health is what the service asks itself before it says that it can work.
func (s *Service) Health(ctx context.Context) error { return s.health(ctx) }

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Service, error) {
	st := store.New(deps.DB)
	tracer := deps.Tracer.Tracer("nexus.internal/services/audit")
	pub := bus.NewPublisher(deps.JS, "audit", time.Now)
	aside := record.NewAside(pub, deps.Log)
	events := record.NewEvents(st, aside, deps.Log, tracer, cfg.BatchBytes)
	dead := record.NewDead(st, deps.Log, tracer, cfg.DeadLetterBytes)
	dead.Measure(deps.Metrics)

	rpc := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "audit")
	rpc.Measure(deps.Metrics)
	rpc.Health(st.Ping)
	rpc.Passing(pg.IsAway)
	bus.Handle(rpc, contract.RPCAuditLogs, query.New(st, deps.NC.MaxPayload).List)
	letters := deadletter.New(st, pub, time.Now)
	bus.Handle(rpc, contract.RPCDeadLetters, letters.List)
	bus.Handle(rpc, contract.RPCDeadLetter, letters.Get)
	bus.Handle(rpc, contract.RPCDeadLetterReplay, letters.Replay)
	bus.Handle(rpc, contract.RPCDeadLetterDiscard, letters.Discard)
	// The writer comes first and therefore stops last: the router's handlers
	// wait for it.
	return &Service{health: st.Ping, components: []run.Component{
		events, record.NewRouter(deps.JS, deps.Log, cfg.InFlight, events.Handle, dead.Handle), rpc, bus.NewMeter(deps.JS, deps.Metrics, deps.Log, consumers),
	}}, nil
}

// consumers lists those of the service.
func consumers() []bus.ConsumerName {
	return []bus.ConsumerName{{Stream: contract.StreamEvents, Durable: contract.ConsumerAudit}, {Stream: contract.StreamDead, Durable: contract.ConsumerDead}}
}

// Components lists the parts of the service in the order they start.
func (s *Service) Components() []run.Component { return s.components }
