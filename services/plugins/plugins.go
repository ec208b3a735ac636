package plugins

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/libs/worker"
	"nexus.internal/services/plugins/internal/analyze"
	"nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
	"nexus.internal/services/plugins/internal/query"
	"nexus.internal/services/plugins/internal/store"
)

// Config holds the settings of the service.
type Config struct {
	MLEnabled    bool          `env:"PLUGIN_ML_ENABLED" envDefault:"false" doc:"Let the ml_stub plugin serve layers."`
	CallTimeout  time.Duration `env:"PLUGIN_CALL_TIMEOUT" envDefault:"10s" doc:"How long a plugin may take for one layer."`
	OutputLimit  int           `env:"PLUGIN_OUTPUT_LIMIT" envDefault:"262144" doc:"Largest output of a plugin for one layer, in bytes."`
	MaxAbandoned int           `env:"PLUGIN_MAX_ABANDONED" envDefault:"4" doc:"Calls of one plugin that may be given up on without having returned, before it is called no more."`
	MaxTextBytes int64         `env:"PLUGIN_MAX_TEXT_BYTES" envDefault:"16777216" doc:"Longest text that is analysed, in bytes. An analysis takes about twenty times as much memory."`

	WorkerConcurrency int `env:"PLUGIN_WORKER_CONCURRENCY" envDefault:"2" doc:"Analyze jobs that one process runs at once."`
}

// Limits of the settings. A text is held in memory as a whole, with everything
// that is made of it.
const (
	maxCallTimeout = 10 * time.Minute
	maxAbandoned   = 1000
	maxTextBytes   = 256 << 20
	maxConcurrency = 64
)

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.CallTimeout <= 0 || c.CallTimeout > maxCallTimeout {
		errs = append(errs, fmt.Errorf("NEXUS_PLUGIN_CALL_TIMEOUT is %s: want more than 0, up to %s", c.CallTimeout, maxCallTimeout))
	}
	for _, n := range []struct {
		name            string
		value, min, max int64
	}{
		{"PLUGIN_OUTPUT_LIMIT", int64(c.OutputLimit), plugin.MinOutputBytes, plugin.MaxRunBytes},
		{"PLUGIN_MAX_ABANDONED", int64(c.MaxAbandoned), 1, maxAbandoned},
		{"PLUGIN_MAX_TEXT_BYTES", c.MaxTextBytes, 1, maxTextBytes},
		{"PLUGIN_WORKER_CONCURRENCY", int64(c.WorkerConcurrency), 1, maxConcurrency},
	} {
		if n.value < n.min || n.value > n.max {
			errs = append(errs, fmt.Errorf("NEXUS_%s is %d: want %d to %d", n.name, n.value, n.min, n.max))
		}
	}
	return errors.Join(errs...)
}

// Deps are what the service needs from the process. It closes none of them.
type Deps struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	DB     *pg.DB
	Log    zerolog.Logger
	Tracer trace.TracerProvider
	Worker worker.Settings
}

// Service is the plugin runner.
type Service struct {
	components []run.Component
}

// New makes the service. It does nothing until its components run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("plugins settings: %w", err)
	}
	registry, err := newRegistry(cfg, cfg.MLEnabled, deps.Tracer)
	if err != nil {
		return nil, err
	}
	runs := store.New(deps.DB)
	rpc := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "plugins")
	rpc.Health(runs.Ping)
	rpc.Passing(pg.IsAway)
	query.New(runs, registry).Register(rpc)
	s := &Service{components: []run.Component{rpc}}
	if deps.Worker.Apart {
		return s, nil
	}
	w, err := workerOn(cfg, deps, registry)
	if err != nil {
		return nil, err
	}
	s.components = append(s.components, w)
	return s, nil
}

// NewWorker makes the worker for analyze jobs, which New brings along unless
// workers are apart. Settings are those of New.
func NewWorker(cfg Config, deps Deps) (*worker.Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("plugins settings: %w", err)
	}
	registry, err := newRegistry(cfg, cfg.MLEnabled, deps.Tracer)
	if err != nil {
		return nil, err
	}
	return workerOn(cfg, deps, registry)
}

func newRegistry(cfg Config, learning bool, tracer trace.TracerProvider) (*plugin.Registry, error) {
	return plugin.NewRegistry(layer.NewAnalyzer(),
		plugin.Limits{Timeout: cfg.CallTimeout, OutputBytes: cfg.OutputLimit, Abandoned: cfg.MaxAbandoned},
		plugin.BuiltInProfiles(), tracer,
		plugin.Deterministic{}, plugin.NewMLStub(learning),
	)
}

func workerOn(cfg Config, deps Deps, registry *plugin.Registry) (*worker.Worker, error) {
	plain, err := newRegistry(cfg, false, deps.Tracer)
	if err != nil {
		return nil, err
	}
	gate := analyze.NewGate(deps.NC, registry, plain, cfg.MLEnabled)
	handler := analyze.NewHandler(document.NewReader(deps.NC, cfg.MaxTextBytes), gate, store.New(deps.DB))
	w, err := worker.New(
		deps.Worker.Config(contract.QueuePlugins, cfg.WorkerConcurrency),
		worker.Deps{NC: deps.NC, JS: deps.JS, Log: deps.Log, Tracer: deps.Tracer, Fault: pg.Fault},
		map[string]worker.Handler{contract.JobAnalyze: handler.Handle},
	)
	if err != nil {
		return nil, fmt.Errorf("make the worker for %s jobs: %w", contract.JobAnalyze, err)
	}
	return w, nil
}

// Components returns the parts of the service in the order in which they start:
// answers first, then the worker.
func (s *Service) Components() []run.Component {
	return s.components
}
