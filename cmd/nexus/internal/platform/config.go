// Package platform puts services together into one process: settings, logs,
// traces, the servers underneath, and the order in which everything starts and
// stops. Development and production differ in settings only.
//
// What a service does is in services/.
package platform

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/token"
	"nexus.internal/libs/worker"
	"nexus.internal/services/audit"
	"nexus.internal/services/auth"
	"nexus.internal/services/corpus"
	"nexus.internal/services/gateway"
	"nexus.internal/services/jobs"
	"nexus.internal/services/plugins"
	"nexus.internal/services/webhooks"
)

// SchemaMode says who creates database schemas and streams.
type SchemaMode string

// Schema modes.
const (
	// SchemaAuto lets every process create what is missing when it starts.
	SchemaAuto SchemaMode = "auto_create"
	// SchemaMigrateOnly leaves it to `nexus migrate`; services check and refuse.
	SchemaMigrateOnly SchemaMode = "migrate_only"
	// SchemaOff neither creates nor checks.
	SchemaOff SchemaMode = "off"
)

// Config are the settings of a process.
type Config struct {
	DataDir         string     `env:"DATA_DIR" envDefault:".nexus" doc:"The folder where \"nexus up\" keeps everything; deleting it starts afresh."`
	DatabaseURL     string     `env:"DATABASE_URL" doc:"A Postgres connection URL; what it does not say comes from libpq's PG* variables and files, as with every Postgres client. Empty: \"nexus up\" starts a private server, which hears of none of them."`
	PGBin           string     `env:"PG_BIN" doc:"The folder with the PostgreSQL programs for the private server. Empty: the newest installed."`
	NATSURL         string     `env:"NATS_URL" doc:"The URL of a NATS server. Empty: \"nexus up\" runs one inside the process."`
	NATSListen      string     `env:"NATS_LISTEN" envDefault:"127.0.0.1:4222" doc:"Where the NATS server inside the process listens for clients; port -1 picks a free one, \"off\" closes the door."`
	NATSKeys        string     `env:"NATS_KEYS_DIR" doc:"The folder with the services' NATS keys. Empty: DATA_DIR/keys for the server inside the process, no keys for another one."`
	SchemaMode      SchemaMode `env:"SCHEMA_MANAGEMENT_MODE" doc:"auto_create, migrate_only or off. Default: auto_create in dev and test, migrate_only in prod."`
	LogLevel        string     `env:"LOG_LEVEL" envDefault:"info" doc:"trace, debug, info, warn or error. It is read again on SIGHUP, and can be changed at PUT /api/v1/log-level."`
	LogFormat       string     `env:"LOG_FORMAT" envDefault:"auto" doc:"How entries of the log are written: json, text for people, or auto, which is text on a terminal and json anywhere else."`
	OTLPEndpoint    string     `env:"OTLP_ENDPOINT" doc:"Where traces and metrics are sent, OTLP over HTTP, for example http://127.0.0.1:4318. Empty: nowhere."`
	TraceRatio      float64    `env:"TRACE_SAMPLE_RATIO" envDefault:"1" doc:"The share of traces that is kept, from 0 to 1, of those that begin in Nexus. A client that sends a traceparent decides for its own."`
	OTLPMetrics     int        `env:"OTLP_METRICS_SECONDS" envDefault:"15" doc:"How often metrics are sent there, in seconds. 0: never, for an endpoint that takes traces alone."`
	MetricsEnabled  bool       `env:"METRICS_ENABLED" envDefault:"true" doc:"Measure what docs/metrics.md lists. Off, /metrics and /metrics/prometheus tell nothing."`
	OpsAddr         string     `env:"OPS_ADDR" doc:"Where the process serves /healthz, /readyz, /metrics and /metrics/prometheus for whoever runs it, for example 0.0.0.0:9090; \"off\" is nowhere. Default: a free port of 127.0.0.1, which the log names, for a process that runs a service, workers or NATS alone; nowhere for \"nexus up\", which serves them with the REST API."`
	PprofAddr       string     `env:"PPROF_ADDR" doc:"Where Go profiles are served, for example 127.0.0.1:6060. Whoever reaches it sees the program's memory. Empty: nowhere."`
	ShutdownGrace   int        `env:"SHUTDOWN_GRACE_SECONDS" envDefault:"30" doc:"How long each part may take to drain when the process stops, in seconds."`
	CommandWait     int        `env:"COMMAND_WAIT_SECONDS" envDefault:"60" doc:"How long commands that end by themselves, such as migrate, wait for Postgres and NATS, in seconds. Services wait until they are told to stop."`
	StreamsMaxBytes int64      `env:"STREAMS_MAX_BYTES" envDefault:"0" doc:"What all streams together may hold on the disk of NATS, in bytes, from 301989888 (288 MiB) to 19327352832 (18 GiB). Streams that exist become larger with it at the next start, never smaller. 0: half of what is free on that disk where Nexus runs the NATS server, else 18 GiB."`

	NATS     NATSConfig
	DB       pg.Config
	Worker   worker.Settings
	Tokens   token.Settings
	Auth     auth.Config
	Jobs     jobs.Config
	Corpus   corpus.Config
	Plugins  plugins.Config
	Audit    audit.Config
	Gateway  gateway.Config
	Webhooks webhooks.Config
}

// LoadConfig reads the settings from environ, checks that the services can run
// on them, and completes those that follow from others.
func LoadConfig(environ map[string]string, services ...string) (Config, error) {
	var cfg Config
	fit := func() error { return cfg.CheckFor(services) }
	if err := config.Load(&cfg, environ, fit); err != nil {
		return cfg, err
	}
	if cfg.SchemaMode == "" {
		cfg.SchemaMode = SchemaAuto
		if cfg.Auth.Environment == "prod" {
			cfg.SchemaMode = SchemaMigrateOnly
		}
	}
	cfg.Gateway.Complete(cfg.Auth.Environment == "prod", cfg.grace())
	if cfg.NATSURL == "" && cfg.NATSKeys == "" {
		cfg.NATSKeys = filepath.Join(cfg.DataDir, "keys")
	}
	if cfg.Corpus.ObjectStorageRoot == "" {
		cfg.Corpus.ObjectStorageRoot = filepath.Join(cfg.DataDir, "objects")
	}
	return cfg, nil
}

func (c *Config) grace() time.Duration { return time.Duration(c.ShutdownGrace) * time.Second }

// Validate implements config.Validator.
func (c *Config) Validate() error {
	var errs []error
	switch c.SchemaMode {
	case "", SchemaAuto, SchemaMigrateOnly, SchemaOff:
	default:
		errs = append(errs, fmt.Errorf("NEXUS_SCHEMA_MANAGEMENT_MODE is %q: want auto_create, migrate_only or off", c.SchemaMode))
	}
	if c.ShutdownGrace < 1 || c.ShutdownGrace > 3600 {
		errs = append(errs, fmt.Errorf("NEXUS_SHUTDOWN_GRACE_SECONDS is %d: want 1 to 3600", c.ShutdownGrace))
	}
	if c.CommandWait < 1 || c.CommandWait > 3600 {
		errs = append(errs, fmt.Errorf("NEXUS_COMMAND_WAIT_SECONDS is %d: want 1 to 3600", c.CommandWait))
	}
	if n := c.StreamsMaxBytes; n != 0 && (n < contract.MinStreamBytes || n > contract.MaxStreamBytes) {
		errs = append(errs, fmt.Errorf("NEXUS_STREAMS_MAX_BYTES is %d: want %d to %d, or 0", n, contract.MinStreamBytes, int64(contract.MaxStreamBytes)))
	}
	if !(c.TraceRatio >= 0 && c.TraceRatio <= 1) {
		errs = append(errs, fmt.Errorf("NEXUS_TRACE_SAMPLE_RATIO is %g: want 0 to 1", c.TraceRatio))
	}
	if c.OTLPMetrics < 0 || c.OTLPMetrics > 3600 {
		errs = append(errs, fmt.Errorf("NEXUS_OTLP_METRICS_SECONDS is %d: want 1 to 3600, or 0 to push none", c.OTLPMetrics))
	}
	errs = append(errs, c.checkAddresses())
	if c.Gateway.Leaving() > 0 && c.Gateway.Leaving() >= c.grace() {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_NOT_READY_SECONDS and NEXUS_HTTP_CLOSING_SECONDS are %s together: want less than NEXUS_SHUTDOWN_GRACE_SECONDS, which is %d",
			c.Gateway.Leaving(), c.ShutdownGrace))
	}
	if err := telemetry.CheckLevel(c.LogLevel); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_LOG_LEVEL: %w", err))
	}
	if err := telemetry.CheckFormat(telemetry.Format(c.LogFormat)); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_LOG_FORMAT: %w", err))
	}
	for _, part := range []config.Validator{c.NATS, c.DB, c.Worker, c.Tokens, c.Auth, c.Jobs, c.Corpus, c.Plugins, c.Audit, c.Gateway, c.Webhooks} {
		errs = append(errs, part.Validate())
	}
	return errors.Join(errs...)
}

// checkAddresses returns every problem with where things are. A URL is not shown
// in one: it may hold a password.
func (c *Config) checkAddresses() error {
	var errs []error
	if c.NATSListen != natsListenOff {
		if err := config.Address("NEXUS_NATS_LISTEN", c.NATSListen, -1); err != nil {
			errs = append(errs, fmt.Errorf("%w, or off", err))
		}
	}
	if c.OpsAddr != "" && c.OpsAddr != opsOff {
		if err := config.Address("NEXUS_OPS_ADDR", c.OpsAddr, 0); err != nil {
			errs = append(errs, fmt.Errorf("%w, or off", err))
		}
	}
	if c.PprofAddr != "" {
		errs = append(errs, config.Address("NEXUS_PPROF_ADDR", c.PprofAddr, 0))
	}
	if c.OTLPEndpoint != "" {
		errs = append(errs, config.URL("NEXUS_OTLP_ENDPOINT", c.OTLPEndpoint, "http://127.0.0.1:4318", "http", "https"))
	}
	if c.DatabaseURL != "" {
		if err := pg.CheckURL(c.DatabaseURL); err != nil {
			errs = append(errs, fmt.Errorf("NEXUS_DATABASE_URL: %w", err))
		}
	}
	errs = append(errs, c.checkNATSURL())
	if strings.ContainsRune(c.DataDir, 0) {
		errs = append(errs, errors.New("NEXUS_DATA_DIR has a zero byte: want a folder"))
	}
	return errors.Join(errs...)
}

// checkNATSURL returns the first problem of a list of servers, each with a scheme
// or without, as the client takes them.
func (c *Config) checkNATSURL() error {
	if c.NATSURL == "" {
		return nil
	}
	for server := range strings.SplitSeq(c.NATSURL, ",") {
		if server = strings.TrimSpace(server); !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		if err := config.URL("NEXUS_NATS_URL", server, "nats://127.0.0.1:4222", "nats", "tls", "ws", "wss"); err != nil {
			return err
		}
	}
	return nil
}

// Logs makes the loggers of a process that writes its log to w.
func (c *Config) Logs(w io.Writer) (*telemetry.Logs, error) {
	return telemetry.NewLogs(w, c.LogLevel, telemetry.Format(c.LogFormat))
}

// logger is that of a command, which writes its log to w.
func (c *Config) logger(w io.Writer) (zerolog.Logger, error) {
	logs, err := c.Logs(w)
	if err != nil {
		return zerolog.Nop(), err
	}
	return logs.Logger(programLog), nil
}

func (c *Config) commandWait() time.Duration { return time.Duration(c.CommandWait) * time.Second }

// CheckFor refuses settings that services must not have in production. Those of
// other services do not matter to a process that does not run them.
func (c *Config) CheckFor(services []string) error {
	if c.Auth.Environment == "prod" && (slices.Contains(services, "auth") || slices.Contains(services, "gateway")) {
		return c.Tokens.CheckProduction()
	}
	return nil
}

// Settings lists every setting a process reads.
func Settings() ([]config.Setting, error) { return config.Settings(&Config{}) }
