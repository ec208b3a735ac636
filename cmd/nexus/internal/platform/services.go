package platform

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/libs/telemetry"
	"nexus.internal/migrations"
	"nexus.internal/services/audit"
	"nexus.internal/services/auth"
	"nexus.internal/services/corpus"
	"nexus.internal/services/gateway"
	"nexus.internal/services/jobs"
	"nexus.internal/services/plugins"
	"nexus.internal/services/webhooks"
)

// Services lists the services in the order they start: whoever is asked
// before whoever asks, and the door last.
func Services() []string {
	return []string{"auth", "audit", "jobs", "corpus", "plugins", "webhooks", "gateway"}
}

// schemasOf lists the schemas of services; the gateway has none.
func schemasOf(services []string) []string {
	var out []string
	for _, s := range services {
		if s != "gateway" {
			out = append(out, s)
		}
	}
	return out
}

// base is what every service gets from its process.
type base struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	db     *pg.DB
	log    zerolog.Logger
	tracer *telemetry.Provider
	// metrics is nil where nothing is measured.
	metrics *metrics.Set
}

// close gives back what the service used, after its components have stopped.
func (b *base) close() error {
	if b.db != nil {
		b.db.Close()
	}
	err := b.nc.FlushTimeout(time.Second)
	b.nc.Close()
	if err != nil {
		return fmt.Errorf("flush NATS: %w", err)
	}
	return nil
}

func (p *process) base(ctx context.Context, service string) (*base, error) {
	b := &base{tracer: telemetry.NewSampledProvider("nexus-"+service, p.opts.Version, p.opts.Spans, p.opts.Config.TraceRatio), metrics: p.opts.Metrics.For(service)}
	b.log = p.logs.Logger(service)
	var err error
	if b.nc, err = p.infra.connect(ctx, service, b.log); err != nil {
		return b, err
	}
	p.open = append(p.open, b)
	if b.js, err = bus.JetStream(b.nc); err != nil {
		return b, err
	}
	if p.infra.cfg.SchemaMode != SchemaAuto {
		if err := p.infra.awaitConsumers(ctx, service, b.js); err != nil {
			return b, err
		}
	}
	if service == "gateway" {
		return b, nil
	}
	options := pg.Options{Role: migrations.Role(service)}
	if p.opts.Spans != nil {
		options.Tracer = b.tracer
	}
	if b.db, err = p.infra.open(ctx, options); err != nil {
		return b, err
	}
	b.db.Measure(b.metrics)
	return b, nil
}

// build makes one service's components.
func (p *process) build(ctx context.Context, service string) ([]run.Component, error) {
	b, err := p.base(ctx, service)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", service, err)
	}
	var parts []run.Component
	if p.opts.workers != nil {
		if parts, err = p.workerFor(ctx, service, b); err != nil {
			return nil, err
		}
	} else if parts, err = p.components(ctx, service, b); err != nil {
		return nil, fmt.Errorf("start %s: %w", service, err)
	}
	return append([]run.Component{p.logLevel(service, b)}, parts...), nil
}

type service interface {
	Components() []run.Component
	// Health says whether the service can work.
	Health(ctx context.Context) error
}

func (p *process) components(ctx context.Context, name string, b *base) ([]run.Component, error) {
	cfg := p.opts.Config
	var s service
	var err error
	switch name {
	case "auth":
		callout, calloutErr := p.callout(ctx, b.log)
		if calloutErr != nil {
			return nil, calloutErr
		}
		s, err = auth.New(cfg.Auth, auth.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics, Now: time.Now, Tokens: cfg.Tokens, Callout: callout})
	case "audit":
		s, err = audit.New(cfg.Audit, audit.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics})
	case "jobs":
		s, err = jobs.New(cfg.Jobs, jobs.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics, Now: time.Now, Worker: p.worker})
	case "corpus":
		s, err = corpus.New(ctx, cfg.Corpus, corpus.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics, Now: time.Now, Worker: p.worker})
	case "plugins":
		s, err = plugins.New(cfg.Plugins, plugins.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics, Worker: p.worker})
	case "webhooks":
		s, err = webhooks.New(cfg.Webhooks, webhooks.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics, Now: time.Now})
	case "gateway":
		s, err = gateway.New(cfg.Gateway, gateway.Deps{
			NC: b.nc, JS: b.js, Listener: p.lobby, Log: b.log, Tracer: b.tracer, Metrics: p.opts.Metrics, Now: time.Now, Version: p.opts.Version,
			Tokens: cfg.Tokens, MLEnabled: cfg.Plugins.MLEnabled, PrivateWebhooks: cfg.Webhooks.AllowPrivate, NATSDoor: p.infra.keys != nil,
		})
	default:
		return nil, fmt.Errorf("there is no service %q", name)
	}
	if err != nil {
		return nil, err
	}
	p.ops.add(check{name, b.health(s.Health)})
	parts := s.Components()
	if name == "gateway" {
		// Its server comes last.
		parts = slices.Insert(slices.Clone(parts), len(parts)-1, p.lobby.component())
	}
	return parts, nil
}

// callout opens what answering the NATS server's questions takes: a connection
// to the account where it asks, and the keys. Without keys the server is
// somebody else's, and so are its clients.
func (p *process) callout(ctx context.Context, log zerolog.Logger) (*auth.Callout, error) {
	keys := p.infra.keys
	if keys == nil {
		return nil, nil //nolint:nilnil // no callout is an answer
	}
	issuer, err := keys.Issuer.Pair()
	if err != nil {
		return nil, err
	}
	xkey, err := keys.XKey.Pair()
	if err != nil {
		return nil, err
	}
	nc, err := p.infra.connect(ctx, calloutUser, log)
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, &base{nc: nc, log: log})
	system, err := p.infra.connect(ctx, systemUser, log)
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, &base{nc: system, log: log})
	return &auth.Callout{NC: nc, Issuer: issuer, XKey: xkey, System: system}, nil
}
