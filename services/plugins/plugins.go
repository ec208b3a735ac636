package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	"nexus.internal/libs/worker"
	"nexus.internal/services/plugins/internal/analyze"
	"nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/natsplugin"
	"nexus.internal/services/plugins/internal/plugin"
	"nexus.internal/services/plugins/internal/query"
	"nexus.internal/services/plugins/internal/store"
	"nexus.internal/services/plugins/internal/wasmplugin"
)

// Config holds the settings of the service.
type Config struct {
	MLEnabled    bool          `env:"PLUGIN_ML_ENABLED" envDefault:"false" doc:"Let the ml_stub plugin serve layers."`
	NATSNames    string        `env:"PLUGIN_NATS_NAMES" doc:"The plugins that are other processes and answer over NATS, for example keywords,mood. They are given the texts that are analysed."`
	WASMDir      string        `env:"PLUGIN_WASM_DIR" doc:"A folder of WebAssembly plugins; each .wasm file is the plugin of its name. Empty: none."`
	WASMMemory   int           `env:"PLUGIN_WASM_MEMORY_MIB" envDefault:"64" doc:"Memory of one call of a WebAssembly plugin, in MiB."`
	Profiles     string        `env:"PLUGIN_PROFILES" doc:"Profiles besides the built-in ones: the plugins of each in the order they are tried, for example careful=keywords,deterministic;pure=keywords."`
	CallTimeout  time.Duration `env:"PLUGIN_CALL_TIMEOUT" envDefault:"10s" doc:"How long a plugin may take for one layer."`
	Timeouts     string        `env:"PLUGIN_TIMEOUTS" doc:"The same for single plugins, for example keywords=2s,mood=500ms."`
	OutputLimit  int           `env:"PLUGIN_OUTPUT_LIMIT" envDefault:"262144" doc:"Largest output of a plugin for one layer, in bytes."`
	MaxCalls     int           `env:"PLUGIN_MAX_CALLS" envDefault:"8" doc:"Calls of one plugin that a process has at work at once. One that was given up on counts until it has returned."`
	Failures     int           `env:"PLUGIN_BREAKER_FAILURES" envDefault:"5" doc:"Failures in a row after which a plugin is not called for a while."`
	RestFor      time.Duration `env:"PLUGIN_BREAKER_REST" envDefault:"30s" doc:"How long that is. Then one call finds out whether it is well again."`
	MaxTextBytes int64         `env:"PLUGIN_MAX_TEXT_BYTES" envDefault:"16777216" doc:"Longest text that is analysed, in bytes. An analysis takes about twenty times as much memory."`

	WorkerConcurrency int `env:"PLUGIN_WORKER_CONCURRENCY" envDefault:"2" doc:"Analyze jobs that one process runs at once. Shadows take half of them at most."`
}

// Limits of the settings. A text is held in memory as a whole, with everything
// that is made of it.
const (
	maxCallTimeout = 10 * time.Minute
	maxRest        = time.Hour
	maxCalls       = 1000
	maxFailures    = 1_000_000
	maxNATSPlugins = 64
	maxWASMMemory  = 4096
	maxTextBytes   = 256 << 20
	maxConcurrency = 64
)

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.CallTimeout <= 0 || c.CallTimeout > maxCallTimeout {
		errs = append(errs, fmt.Errorf("NEXUS_PLUGIN_CALL_TIMEOUT is %s: want more than 0, up to %s", c.CallTimeout, maxCallTimeout))
	}
	if c.RestFor <= 0 || c.RestFor > maxRest {
		errs = append(errs, fmt.Errorf("NEXUS_PLUGIN_BREAKER_REST is %s: want more than 0, up to %s", c.RestFor, maxRest))
	}
	if _, err := c.natsNames(); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_PLUGIN_NATS_NAMES: %w", err))
	}
	if _, err := c.timeouts(); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_PLUGIN_TIMEOUTS: %w", err))
	}
	if _, err := plugin.ParseProfiles(c.Profiles); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_PLUGIN_PROFILES: %w", err))
	}
	for _, n := range []struct {
		name            string
		value, min, max int64
	}{
		{"PLUGIN_WASM_MEMORY_MIB", int64(c.WASMMemory), 1, maxWASMMemory},
		{"PLUGIN_OUTPUT_LIMIT", int64(c.OutputLimit), plugin.MinOutputBytes, plugin.MaxRunBytes},
		{"PLUGIN_MAX_CALLS", int64(c.MaxCalls), 1, maxCalls},
		{"PLUGIN_BREAKER_FAILURES", int64(c.Failures), 1, maxFailures},
		{"PLUGIN_MAX_TEXT_BYTES", c.MaxTextBytes, 1, maxTextBytes},
		{"PLUGIN_WORKER_CONCURRENCY", int64(c.WorkerConcurrency), 1, maxConcurrency},
	} {
		if n.value < n.min || n.value > n.max {
			errs = append(errs, fmt.Errorf("NEXUS_%s is %d: want %d to %d", n.name, n.value, n.min, n.max))
		}
	}
	return errors.Join(errs...)
}

// natsNames lists the plugins that answer over NATS.
func (c Config) natsNames() ([]string, error) {
	names := []string{}
	for part := range strings.SplitSeq(c.NATSNames, ",") {
		name := strings.TrimSpace(part)
		switch {
		case name == "":
			continue
		case !contract.ValidToken(name):
			return nil, fmt.Errorf("%q is no name of a plugin: want 1 to %d of a-z A-Z 0-9 _ -", contract.Cut(name, contract.MaxToken), contract.MaxToken)
		}
		names = append(names, name)
	}
	if len(names) > maxNATSPlugins {
		return nil, fmt.Errorf("there are %d plugins: the limit is %d", len(names), maxNATSPlugins)
	}
	return names, nil
}

// timeouts maps plugins to time limits of their own.
func (c Config) timeouts() (map[string]time.Duration, error) {
	own := map[string]time.Duration{}
	for part := range strings.SplitSeq(c.Timeouts, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, text, found := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !found || !contract.ValidToken(name) {
			return nil, fmt.Errorf("%q: want plugin=duration", contract.Cut(part, contract.MaxToken))
		}
		d, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || d <= 0 || d > maxCallTimeout {
			return nil, fmt.Errorf("%s: want a duration of more than 0, up to %s", name, maxCallTimeout)
		}
		own[name] = d
	}
	return own, nil
}

// Deps are what the service needs from the process. It closes none of them.
type Deps struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	DB     *pg.DB
	Log    zerolog.Logger
	Tracer trace.TracerProvider
	// Metrics is what is measured; nil measures nothing.
	Metrics *metrics.Set
	Worker  worker.Settings
}

// Service is the plugin runner.
type Service struct {
	health     func(context.Context) error
	components []run.Component
}

// Health is what the service asks itself before it says that it can work.
func (s *Service) Health(ctx context.Context) error { return s.health(ctx) }

// New makes the service. It does nothing until its components run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("plugins settings: %w", err)
	}
	registry, beside, err := newRegistry(cfg, deps)
	if err != nil {
		return nil, err
	}
	documents := document.NewReader(deps.NC, cfg.MaxTextBytes)
	rpc := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "plugins")
	rpc.Measure(deps.Metrics)
	runs := store.New(deps.DB)
	rpc.Health(runs.Ping)
	rpc.Passing(pg.IsAway)
	query.New(runs, registry, documents).Register(rpc)
	s := &Service{health: runs.Ping, components: append(beside, rpc)}
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
// workers are apart, and what has to run before it. Settings are those of New.
func NewWorker(cfg Config, deps Deps) (*worker.Worker, []run.Component, error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, fmt.Errorf("plugins settings: %w", err)
	}
	registry, beside, err := newRegistry(cfg, deps)
	if err != nil {
		return nil, nil, err
	}
	w, err := workerOn(cfg, deps, registry)
	return w, beside, err
}

// newRegistry registers the plugins of every kind, and returns what has to run
// for them.
func newRegistry(cfg Config, deps Deps) (*plugin.Registry, []run.Component, error) {
	plugins := []plugin.Plugin{plugin.Deterministic{}, plugin.NewMLStub(cfg.MLEnabled)}
	names, err := cfg.natsNames()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		p, err := natsplugin.New(deps.NC, name, time.Now)
		if err != nil {
			return nil, nil, err
		}
		plugins = append(plugins, p)
	}
	var beside []run.Component
	if cfg.WASMDir != "" {
		host, err := wasmplugin.Open(cfg.WASMDir, wasmplugin.Limits{MemoryMiB: cfg.WASMMemory, OutputBytes: wasmOutput(cfg.OutputLimit)}, deps.Log)
		if err != nil {
			return nil, nil, fmt.Errorf("NEXUS_PLUGIN_WASM_DIR: %w", err)
		}
		beside = append(beside, host)
		for _, p := range host.Plugins() {
			plugins = append(plugins, p)
		}
	}
	timeouts, err := cfg.timeouts()
	if err != nil {
		return nil, nil, err
	}
	profiles, err := plugin.ParseProfiles(cfg.Profiles)
	if err != nil {
		return nil, nil, err
	}
	registry, err := plugin.NewRegistry(layer.NewAnalyzer(), plugin.Limits{
		Timeout: cfg.CallTimeout, Timeouts: timeouts, OutputBytes: cfg.OutputLimit, Calls: cfg.MaxCalls,
		Failures: uint32(cfg.Failures), RestFor: cfg.RestFor, //nolint:gosec // the settings bound it
	}, profiles, deps.Tracer, plugins...)
	if err != nil {
		return nil, nil, err
	}
	registry.Measure(deps.Metrics)
	return registry, beside, nil
}

// wasmOutput is how much a module may write: an output, and room for what is
// around it.
func wasmOutput(limit int) int { return limit + 4<<10 }

func workerOn(cfg Config, deps Deps, registry *plugin.Registry) (*worker.Worker, error) {
	gate := analyze.NewGate(deps.NC, registry, registry.WithoutLearning(), cfg.MLEnabled)
	handler := analyze.NewHandler(document.NewReader(deps.NC, cfg.MaxTextBytes), gate, store.New(deps.DB), cfg.WorkerConcurrency/2)
	w, err := worker.New(
		deps.Worker.Config(contract.QueuePlugins, cfg.WorkerConcurrency),
		worker.Deps{NC: deps.NC, JS: deps.JS, Log: deps.Log, Tracer: deps.Tracer, Metrics: deps.Metrics, Fault: pg.Fault},
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
