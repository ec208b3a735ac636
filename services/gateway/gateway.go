// Package gateway is the service outsiders talk to: both doors with one
// admission. It has no database; it publishes commands and asks the services
// that own the answers.
package gateway

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/run"
	"nexus.internal/services/gateway/internal/access"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/await"
	"nexus.internal/services/gateway/internal/door"
	"nexus.internal/services/gateway/internal/eventstream"
	"nexus.internal/services/gateway/internal/httpapi"
	"nexus.internal/services/gateway/internal/submit"
)

// Config are the settings of the service.
type Config struct {
	HTTPAddr        string  `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"Where the REST API listens; port 0 picks a free one."`
	RawModeEnabled  bool    `env:"RAW_MODE_ENABLED" envDefault:"true" doc:"Allow RAW mode to researchers whose key allows it."`
	AsyncEnabled    bool    `env:"ASYNC_JOBS_ENABLED" envDefault:"true" doc:"Allow execution_mode async."`
	SyncWaitSeconds float64 `env:"SYNC_WAIT_SECONDS" envDefault:"30" doc:"How long a sync submit waits for its job to finish, in seconds."`
	MaxBodyBytes    int     `env:"HTTP_MAX_BODY_BYTES" envDefault:"1048576" doc:"The largest request body, in bytes."`

	SSEMaxPerKey        int     `env:"SSE_MAX_PER_KEY" envDefault:"16" doc:"How many event streams one API key may have open at one gateway."`
	SSEMaxTotal         int     `env:"SSE_MAX_TOTAL" envDefault:"2000" doc:"How many event streams may be open at one gateway."`
	SSEHeartbeatSeconds float64 `env:"SSE_HEARTBEAT_SECONDS" envDefault:"15" doc:"How long an event stream may be silent before it gives a sign of life, in seconds."`
	SSEMaxSeconds       float64 `env:"SSE_MAX_SECONDS" envDefault:"3600" doc:"How long an event stream lasts before its client has to come back, in seconds."`
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.HTTPAddr); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_ADDR is %q: want host:port", c.HTTPAddr))
	}
	if c.SyncWaitSeconds <= 0 || c.SyncWaitSeconds > 600 {
		errs = append(errs, fmt.Errorf("NEXUS_SYNC_WAIT_SECONDS is %g: want more than 0, at most 600", c.SyncWaitSeconds))
	}
	if c.MaxBodyBytes < 1024 || c.MaxBodyBytes > 64<<20 {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_MAX_BODY_BYTES is %d: want 1024 to 67108864", c.MaxBodyBytes))
	}
	if c.SSEMaxPerKey < 1 || c.SSEMaxPerKey > 10_000 {
		errs = append(errs, fmt.Errorf("NEXUS_SSE_MAX_PER_KEY is %d: want 1 to 10000", c.SSEMaxPerKey))
	}
	if c.SSEMaxTotal < 1 || c.SSEMaxTotal > 100_000 {
		errs = append(errs, fmt.Errorf("NEXUS_SSE_MAX_TOTAL is %d: want 1 to 100000", c.SSEMaxTotal))
	}
	if c.SSEHeartbeatSeconds < 0.05 || c.SSEHeartbeatSeconds > 300 {
		errs = append(errs, fmt.Errorf("NEXUS_SSE_HEARTBEAT_SECONDS is %g: want 0.05 to 300", c.SSEHeartbeatSeconds))
	}
	if c.SSEMaxSeconds < 1 || c.SSEMaxSeconds > 86_400 {
		errs = append(errs, fmt.Errorf("NEXUS_SSE_MAX_SECONDS is %g: want 1 to 86400", c.SSEMaxSeconds))
	}
	return errors.Join(errs...)
}

// Deps are what the service needs from the process.
type Deps struct {
	NC *nats.Conn
	JS jetstream.JetStream
	// Listener is where HTTP is served; the service closes it.
	Listener net.Listener
	Log      zerolog.Logger
	Tracer   trace.TracerProvider
	Now      func() time.Time
	Version  string
	// NATSDoor opens the second door. It needs a server that lets clients
	// publish in their own name only.
	NATSDoor bool
}

// Service is the gateway.
type Service struct{ components []run.Component }

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Service, error) {
	pub := bus.NewPublisher(deps.JS, "gateway", deps.Now)
	admit := admission.New(deps.NC, admission.Options{RawEnabled: cfg.RawModeEnabled, AsyncEnabled: cfg.AsyncEnabled}, deps.Now)
	submitter := submit.New(deps.NC, pub, deps.Log)
	events := eventstream.NewHub(deps.NC, deps.Log)
	server := httpapi.New(httpOptions(cfg, deps.Version), httpapi.Deps{
		NC: deps.NC, Listener: deps.Listener, Admission: admit, Submitter: submitter, Watcher: await.New(deps.NC, deps.Log), Events: events,
		Publisher: pub, Log: deps.Log, Tracer: deps.Tracer, Now: deps.Now,
	})
	parts := []run.Component{submitter}
	if deps.NATSDoor {
		parts = append(parts, door.New(deps.JS, admit, submitter, pub, deps.Log, deps.Tracer, deps.Now))
	}
	return &Service{components: append(parts, events, server)}, nil
}

func httpOptions(cfg Config, version string) httpapi.Options {
	return httpapi.Options{
		SyncWait: seconds(cfg.SyncWaitSeconds), MaxBody: cfg.MaxBodyBytes, Version: version,
		Streams: eventstream.Options{
			PerKey: cfg.SSEMaxPerKey, Total: cfg.SSEMaxTotal, Heartbeat: seconds(cfg.SSEHeartbeatSeconds), MaxAge: seconds(cfg.SSEMaxSeconds),
		},
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Components lists the parts of the service in the order they start.
func (s *Service) Components() []run.Component { return s.components }

// OpenAPI is the OpenAPI document of the REST API, as JSON.
func OpenAPI(version string) ([]byte, error) {
	return httpapi.New(httpapi.Options{MaxBody: 1 << 20, Version: version}, httpapi.Deps{Tracer: noop.NewTracerProvider(), Now: time.Now}).OpenAPI()
}

// Access says for each route of the REST API who may use it: the one table that
// the routes, the documentation and the tests are made of.
func Access() []access.Rule { return access.Table() }
