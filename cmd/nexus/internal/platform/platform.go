package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/worker"
	"nexus.internal/migrations"
	"nexus.internal/services/audit"
)

// Options say what a process runs.
type Options struct {
	Config Config
	// Services are the services to run, of Services().
	Services []string
	// Embedded lets the process bring the servers that no setting names.
	Embedded bool
	Version  string
	// Log receives the logs of all services.
	Log io.Writer
	// Levels are log levels that all services have from then on; nil for none.
	Levels <-chan NewLevel
	// Spans receives the spans of all services; nil traces nothing. It is not
	// shut down here.
	Spans sdktrace.SpanProcessor
	// Metrics is what the process measures; nil measures nothing. It is not shut down
	// here.
	Metrics *metrics.Provider
	// Ready is called once everything serves.
	Ready func(Running)

	workers *Workers
}

// Running describes a process that serves.
type Running struct {
	// HTTPAddr is where the REST API listens; empty without a gateway.
	HTTPAddr string
	// NATSURL is where clients reach the NATS server of this process; empty
	// without one.
	NATSURL string
	// OpsAddr is where health, readiness and metrics are served apart from the REST
	// API; empty where they are not.
	OpsAddr string
}

type process struct {
	opts   Options
	infra  *infrastructure
	worker worker.Settings
	logs   *telemetry.Logs
	// lobby is where the gateway serves; nil without one.
	lobby *lobby
	// ops is nil where nothing is served for operations.
	ops  *ops
	open []*base
}

// stopServersWithin bounds the stop of the private servers.
const stopServersWithin = 30 * time.Second

// Run runs services until ctx ends, then drains them. Everything accepted by
// then is kept, and the next start goes on with it. Servers that are away are waited
// for; what waiting cannot mend is an error.
func Run(ctx context.Context, opts Options) (err error) {
	if err := opts.Config.CheckFor(opts.Services); err != nil {
		return fmt.Errorf("the settings are not fit for production: %w", err)
	}
	logs, err := opts.Config.Logs(opts.Log)
	if err != nil {
		return err
	}
	log := logs.Logger(programLog)
	defer followLevels(logs, log, opts.Levels)()
	p := &process{opts: opts, worker: opts.Config.Worker, logs: logs, infra: newInfrastructure(opts.Config, log, opts.workers.limitOfWait(opts.Config))}
	if p.worker.Name == "" {
		if p.worker.Name, err = worker.NewIdentity(); err != nil {
			return err
		}
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopServersWithin)
		defer cancel()
		err = errors.Join(err, p.close(last))
	}()
	if address := opsAddress(opts.Config, opts.Embedded); address != "" {
		if p.ops, err = openOps(ctx, address, p.infra.patience.waitingFor, opts.Metrics, log); err != nil {
			return err
		}
	}
	parts, err := p.parts(ctx)
	if err != nil {
		if ctx.Err() != nil {
			// It was told to stop while it waited, and has begun nothing.
			return nil
		}
		return err
	}
	log.Info().Strs("services", opts.Services).Str("version", opts.Version).Str(telemetry.FieldWorker, p.worker.Name).Msg("starting")
	grace := time.Duration(opts.Config.ShutdownGrace) * time.Second
	var told time.Time
	err = run.NewSupervisor(log, grace, parts...).
		OnReady(func() { log.Info().Msg("ready"); p.ops.ready(); opts.Ready(p.running()) }).
		OnStop(func() { told = time.Now(); log.Info().Msg("stopping"); p.ops.stopping() }).
		Run(ctx)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	log.Info().Dur("took_ms", time.Since(told)).Msg("everything has drained")
	return nil
}

// opsAddress is where health, readiness and metrics are served apart from the REST
// API; empty for nowhere.
func opsAddress(cfg Config, embedded bool) string {
	switch address := cfg.OpsAddr; {
	case address == opsOff, address == "" && embedded:
		return ""
	case address == "":
		return opsAlone
	default:
		return address
	}
}

// parts makes everything that runs, once it has what that needs.
func (p *process) parts(ctx context.Context) ([]run.Component, error) {
	opts := p.opts
	if slices.Contains(opts.Services, "gateway") {
		var err error
		if p.lobby, err = openLobby(ctx, opts.Config.Gateway.HTTPAddr, p.infra.patience.waitingFor, opts.Metrics); err != nil {
			return nil, err
		}
	}
	if err := p.infra.startServers(ctx, opts.Services, opts.Embedded); err != nil {
		return nil, err
	}
	if err := p.infra.prepare(ctx, schemasOf(opts.Services)); err != nil {
		return nil, err
	}
	parts := slices.Concat(p.infra.components(), p.infra.keeper(), profiles(opts.Config.PprofAddr))
	for _, name := range opts.Services {
		built, err := p.build(ctx, name)
		if err != nil {
			return nil, err
		}
		parts = append(parts, built...)
	}
	if opts.workers != nil {
		parts = append(parts, opts.workers.end())
	}
	return parts, opts.Metrics.Err()
}

// Create makes schemas, streams and consumers, and returns. Schemas that a newer
// program has migrated are returned and left as they are.
func Create(ctx context.Context, cfg Config, logTo io.Writer, schemas []string) (newer []migrations.Ahead, err error) {
	log, err := cfg.logger(logTo)
	if err != nil {
		return nil, err
	}
	in := newInfrastructure(cfg, log, cfg.commandWait())
	err = in.startServers(ctx, nil, true)
	if err == nil {
		newer, err = in.create(ctx, schemas)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopServersWithin)
	defer cancel()
	return newer, errors.Join(err, in.stop(last))
}

func (p *process) running() Running {
	var r Running
	if p.lobby != nil {
		r.HTTPAddr = p.lobby.Addr().String()
	}
	if p.infra.nats != nil {
		r.NATSURL = p.infra.nats.ClientURL()
	}
	if p.ops != nil {
		r.OpsAddr = p.ops.listener.Addr().String()
	}
	return r
}

func (p *process) close(ctx context.Context) error {
	var errs []error
	for i := len(p.open) - 1; i >= 0; i-- {
		errs = append(errs, p.open[i].close())
	}
	if p.lobby != nil {
		// Served listeners are closed already.
		_ = p.lobby.Close()
	}
	p.ops.close()
	return errors.Join(append(errs, p.infra.stop(ctx))...)
}

// Remove drops schemas with everything in them, and returns.
func Remove(ctx context.Context, cfg Config, logTo io.Writer, schemas []string) error {
	log, err := cfg.logger(logTo)
	if err != nil {
		return err
	}
	in := newInfrastructure(cfg, log, cfg.commandWait())
	err = in.startServers(ctx, nil, true)
	if err == nil {
		err = in.remove(ctx, schemas)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopServersWithin)
	defer cancel()
	return errors.Join(err, in.stop(last))
}

// VerifyAudit holds the audit trail to its chain. It needs the database alone:
// the one of the settings, or the private one while nothing else runs it.
func VerifyAudit(ctx context.Context, cfg Config, logTo io.Writer, r audit.Range) (v audit.Verified, err error) {
	log, err := cfg.logger(logTo)
	if err != nil {
		return v, err
	}
	in := newInfrastructure(cfg, log, cfg.commandWait())
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopServersWithin)
		defer cancel()
		err = errors.Join(err, in.stop(last))
	}()
	if err := in.startPostgres(ctx); err != nil {
		return v, err
	}
	// Before a migration the role of the service is missing, too.
	if err := in.check(ctx, []string{"audit"}); err != nil {
		return v, err
	}
	db, err := in.open(ctx, pg.Options{Role: migrations.Role("audit")})
	if err != nil {
		return v, err
	}
	defer db.Close()
	return audit.Verify(ctx, db, r)
}

// RunNATS runs the NATS server of the platform alone, with the accounts, users
// and rights the services need, until ctx ends.
func RunNATS(ctx context.Context, opts Options) error {
	cfg := opts.Config
	logs, err := cfg.Logs(opts.Log)
	if err != nil {
		return err
	}
	log := logs.Logger("nats")
	defer followLevels(logs, log, opts.Levels)()
	if cfg.NATSURL != "" || cfg.NATSListen == natsListenOff {
		return errors.New("`nexus nats` runs a server of its own: NEXUS_NATS_URL must not be set, and NEXUS_NATS_LISTEN must not be off")
	}
	in := newInfrastructure(cfg, log, 0)
	var told *ops
	if address := opsAddress(cfg, false); address != "" {
		if told, err = openOps(ctx, address, in.patience.waitingFor, opts.Metrics, log); err != nil {
			return err
		}
		defer told.close()
	}
	if in.keys, err = embednats.LoadOrCreateKeys(cfg.NATSKeys, natsUsers()...); err != nil {
		return err
	}
	if err := in.startNATS(); err != nil {
		return err
	}
	defer in.nats.Stop()
	err = in.makeStreams(ctx)
	if ctx.Err() != nil {
		// It was told to stop while it waited.
		return nil
	}
	if err != nil {
		return err
	}
	told.add(check{name: "nats", ask: in.health})
	told.ready()
	opts.Ready(Running{NATSURL: in.nats.ClientURL()})
	<-ctx.Done()
	told.stopping()
	return nil
}
