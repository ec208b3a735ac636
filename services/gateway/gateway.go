// Package gateway is the service outsiders talk to: both doors with one
// admission. It has no database; it publishes commands and asks the services
// that own the answers.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/run"
	"nexus.internal/libs/token"
	"nexus.internal/services/gateway/internal/accepted"
	"nexus.internal/services/gateway/internal/access"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/await"
	"nexus.internal/services/gateway/internal/decision"
	"nexus.internal/services/gateway/internal/door"
	"nexus.internal/services/gateway/internal/eventstream"
	"nexus.internal/services/gateway/internal/httpapi"
	"nexus.internal/services/gateway/internal/limit"
	"nexus.internal/services/gateway/internal/loglevel"
	"nexus.internal/services/gateway/internal/quota"
	"nexus.internal/services/gateway/internal/readiness"
	"nexus.internal/services/gateway/internal/submit"
)

// Config are the settings of the service.
type Config struct {
	HTTPAddr        string  `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"Where the REST API listens; port 0 picks a free one."`
	RawModeEnabled  bool    `env:"RAW_MODE_ENABLED" envDefault:"true" doc:"Allow RAW mode to researchers whose key allows it."`
	AsyncEnabled    bool    `env:"ASYNC_JOBS_ENABLED" envDefault:"true" doc:"Allow execution_mode async."`
	SyncWaitSeconds float64 `env:"SYNC_WAIT_SECONDS" envDefault:"30" doc:"How long a sync submit waits for its job to finish, in seconds."`
	MaxBodyBytes    int     `env:"HTTP_MAX_BODY_BYTES" envDefault:"1048576" doc:"The largest request body, in bytes, of routes that have no limit of their own."`
	MaxBatchBytes   int     `env:"HTTP_MAX_BATCH_BYTES" envDefault:"16777216" doc:"The largest request body of a batch of jobs, in bytes."`
	ReadSilence     float64 `env:"HTTP_READ_SILENCE_SECONDS" envDefault:"30" doc:"How long a client may send nothing in the middle of a request, and take for its headers, in seconds."`
	ReadWhole       float64 `env:"HTTP_READ_SECONDS" envDefault:"600" doc:"How long a request body may take to arrive while it flows, and a client to take an answer, in seconds."`
	// NotReady and Closing follow from the environment where they are not set.
	NotReady        *float64 `env:"HTTP_NOT_READY_SECONDS" doc:"When the process stops: how long it serves on while /readyz says 503, in seconds; at least as long as load balancers take to notice. Default: 5 in prod, otherwise 0."`
	Closing         *float64 `env:"HTTP_CLOSING_SECONDS" doc:"When the process stops: how long answers then carry Connection: close, before what is left is closed, in seconds. Default: 5 in prod, otherwise 0."`
	MaxPayloadBytes int      `env:"MAX_PAYLOAD_BYTES" envDefault:"8388608" doc:"The largest payload of a job, in bytes."`
	ShadowEnabled   bool     `env:"SHADOW_EXECUTION_ENABLED" envDefault:"false" doc:"Allow execution_mode shadow where the feature shadow_execution is open."`
	RateLimits      string   `env:"RATE_LIMIT_DEFAULTS" envDefault:"viewer=6000,operator=60000,researcher=60000,admin=60000" doc:"Requests a minute of a key, by role, for keys without a limit of their own; 0 is no limit."`
	AuthFailures    int      `env:"AUTH_FAILURES_PER_MINUTE" envDefault:"30" doc:"How often an address may show a bad key or token, a minute; further ones are slowed down and answered 429. Good ones are let in all the same. 0 is no limit."`
	TrustedProxies  string   `env:"TRUSTED_PROXIES" doc:"The networks of proxies whose X-Forwarded-For is believed, for example 10.0.0.0/8,::1/128."`

	SSEMaxPerKey        int     `env:"SSE_MAX_PER_KEY" envDefault:"16" doc:"How many event streams one API key may have open at one gateway."`
	SSEMaxTotal         int     `env:"SSE_MAX_TOTAL" envDefault:"2000" doc:"How many event streams may be open at one gateway."`
	SSEHeartbeatSeconds float64 `env:"SSE_HEARTBEAT_SECONDS" envDefault:"15" doc:"How long an event stream may be silent before it gives a sign of life, in seconds."`
	SSEMaxSeconds       float64 `env:"SSE_MAX_SECONDS" envDefault:"3600" doc:"How long an event stream lasts before its client has to come back, in seconds."`
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	errs = append(errs, config.Address("NEXUS_HTTP_ADDR", c.HTTPAddr, 0))
	if c.SyncWaitSeconds <= 0 || c.SyncWaitSeconds > 600 {
		errs = append(errs, fmt.Errorf("NEXUS_SYNC_WAIT_SECONDS is %g: want more than 0, at most 600", c.SyncWaitSeconds))
	}
	if c.MaxBodyBytes < 1024 || c.MaxBodyBytes > 64<<20 {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_MAX_BODY_BYTES is %d: want 1024 to 67108864", c.MaxBodyBytes))
	}
	if _, err := quota.ParseDefaults(c.RateLimits); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_RATE_LIMIT_DEFAULTS: %w", err))
	}
	if c.AuthFailures < 0 || c.AuthFailures > contract.MaxRateLimit {
		errs = append(errs, fmt.Errorf("NEXUS_AUTH_FAILURES_PER_MINUTE is %d: want 0 to %d", c.AuthFailures, contract.MaxRateLimit))
	}
	if _, err := c.proxies(); err != nil {
		errs = append(errs, fmt.Errorf("NEXUS_TRUSTED_PROXIES: %w", err))
	}
	if c.MaxBatchBytes < 1024 || c.MaxBatchBytes > 64<<20 {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_MAX_BATCH_BYTES is %d: want 1024 to 67108864", c.MaxBatchBytes))
	}
	if !between(c.ReadSilence, 0.1, 3600) {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_READ_SILENCE_SECONDS is %g: want 0.1 to 3600", c.ReadSilence))
	}
	if !between(c.ReadWhole, c.ReadSilence, 86_400) {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_READ_SECONDS is %g: want at least NEXUS_HTTP_READ_SILENCE_SECONDS, at most 86400", c.ReadWhole))
	}
	if !between(orZero(c.NotReady), 0, 600) {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_NOT_READY_SECONDS is %g: want 0 to 600", *c.NotReady))
	}
	if !between(orZero(c.Closing), 0, 600) {
		errs = append(errs, fmt.Errorf("NEXUS_HTTP_CLOSING_SECONDS is %g: want 0 to 600", *c.Closing))
	}
	if c.MaxPayloadBytes < 1024 || c.MaxPayloadBytes > contract.MaxPayload {
		errs = append(errs, fmt.Errorf("NEXUS_MAX_PAYLOAD_BYTES is %d: want 1024 to %d", c.MaxPayloadBytes, contract.MaxPayload))
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

// between is false for what is not a number, too.
func between(x, least, most float64) bool { return x >= least && x <= most }

func orZero(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

// Leaving is how long clients are given to leave when the process stops, before
// connections are closed.
func (c Config) Leaving() time.Duration { return seconds(orZero(c.NotReady) + orZero(c.Closing)) }

// leavingInProduction is the default of each step there, in seconds.
const leavingInProduction = 5.0

// Complete fills in the settings that follow from others: on a terminal nobody
// waits for a load balancer. grace is how long the process lets a part drain.
func (c *Config) Complete(production bool, grace time.Duration) {
	wait := 0.0
	if production {
		wait = min(leavingInProduction, grace.Seconds()/4)
	}
	for _, step := range []**float64{&c.NotReady, &c.Closing} {
		if *step == nil {
			*step = &wait
		}
	}
}

func (c Config) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for part := range strings.SplitSeq(c.TrustedProxies, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.0.0.0/8", part)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Deps are what the service needs from the process.
type Deps struct {
	NC *nats.Conn
	JS jetstream.JetStream
	// Listener is where HTTP is served; the service closes it.
	Listener net.Listener
	Log      zerolog.Logger
	Tracer   trace.TracerProvider
	// Metrics is what the process measures; nil measures nothing.
	Metrics *metrics.Provider
	Now     func() time.Time
	Version string
	// Tokens says how tokens are checked.
	Tokens token.Settings
	// MLEnabled says that the platform allows plugins that learn.
	MLEnabled bool
	// PrivateWebhooks allows webhooks to private addresses.
	PrivateWebhooks bool
	// NATSDoor opens the second door. It needs a server that lets clients
	// publish in their own name only.
	NATSDoor bool
}

// Service is the gateway.
type Service struct {
	readiness  *readiness.Checker
	components []run.Component
}

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Service, error) {
	tokens, err := token.NewVerifier(deps.Tokens, deps.Now)
	if err != nil {
		return nil, err
	}
	defaults, err := quota.ParseDefaults(cfg.RateLimits)
	if err != nil {
		return nil, err
	}
	opts, err := httpOptions(cfg, deps.Version)
	if err != nil {
		return nil, err
	}
	pub := bus.NewPublisher(deps.JS, "gateway", deps.Now)
	admit := admission.New(deps.NC, tokens, admission.Options{
		RawEnabled: cfg.RawModeEnabled, AsyncEnabled: cfg.AsyncEnabled, ShadowEnabled: cfg.ShadowEnabled, MLEnabled: deps.MLEnabled, PrivateWebhooks: deps.PrivateWebhooks,
		MaxPayload: cfg.MaxPayloadBytes,
	}, deps.Log, deps.Now)
	submitter := submit.New(deps.NC, pub, deps.Log)
	sized := submit.Sized{Submitter: submitter}
	buckets := limit.New(deps.NC, uuid.NewString(), deps.Log, deps.Now)
	limits := quota.New(buckets, defaults)
	decisions := decision.New(pub, deps.Log, deps.Now)
	events := eventstream.NewHub(deps.NC, deps.Log)
	watcher := await.New(deps.NC, endOf(deps.NC), deps.Log)
	ready := readiness.New(deps.NC, deps.JS, pub, deps.Log, deps.Now)
	server := httpapi.New(opts, httpapi.Deps{
		NC: deps.NC, Listener: deps.Listener, Readiness: ready,
		Accepted: accepted.New(deps.NC, pub, deps.Now), Admission: admit, Submitter: sized, Watcher: watcher, Events: events,
		Decisions: decisions, Limits: limits, Buckets: buckets, LogLevels: loglevel.New(deps.NC, pub, deps.Now), Log: deps.Log, Tracer: deps.Tracer, Now: deps.Now, Metrics: deps.Metrics,
	})
	parts := []run.Component{admit, buckets, decisions, submitter}
	if deps.NATSDoor {
		nats := door.New(deps.JS, httpapi.NewSubmissions(), admit, limits, sized, pub, deps.Log, deps.Tracer, deps.Now)
		nats.Measure(deps.Metrics.For("gateway"))
		parts = append(parts, nats)
	}
	parts = append(parts, bus.NewMeter(deps.JS, deps.Metrics.For("gateway"), deps.Log, consumers, streams()...))
	return &Service{readiness: ready, components: append(parts, events, watcher, server)}, nil
}

// Health says in words what is missing for the gateway to serve.
func (s *Service) Health(ctx context.Context) error {
	if missing := s.readiness.Check(ctx).Missing; len(missing) > 0 {
		words := make([]string, len(missing))
		for i, a := range missing {
			words[i] = a.String()
		}
		return fault.Unavailablef("%s", strings.Join(words, "; "))
	}
	return nil
}

// consumers lists those of the service that are always there; owners at the NATS
// door have one each, while messages of theirs come.
func consumers() []bus.ConsumerName {
	return []bus.ConsumerName{{Stream: contract.StreamSubmit, Durable: contract.ConsumerDoor}}
}

func streams() []string {
	var names []string
	for _, s := range contract.Streams() {
		names = append(names, s.Name)
	}
	return names
}

// endOf asks the jobs service for the state of a job.
func endOf(nc *nats.Conn) await.Ask {
	return func(ctx context.Context, jobID string) (await.End, error) {
		job, err := bus.Call[contract.Job](ctx, nc, contract.RPCJobsGet, contract.JobRequest{JobID: jobID})
		end := await.End{Status: job.Status}
		if job.ErrorText != nil {
			end.ErrorText = *job.ErrorText
		}
		return end, err
	}
}

func httpOptions(cfg Config, version string) (httpapi.Options, error) {
	proxies, err := cfg.proxies()
	return httpapi.Options{
		SyncWait: seconds(cfg.SyncWaitSeconds), AuthFailures: cfg.AuthFailures, Proxies: proxies,
		ReadSilence: seconds(cfg.ReadSilence), ReadWhole: seconds(cfg.ReadWhole),
		NotReady: seconds(orZero(cfg.NotReady)), Closing: seconds(orZero(cfg.Closing)),
		MaxBody: cfg.MaxBodyBytes, MaxBatch: cfg.MaxBatchBytes, MaxPayload: cfg.MaxPayloadBytes, Version: version,
		Streams: eventstream.Options{
			PerKey: cfg.SSEMaxPerKey, Total: cfg.SSEMaxTotal, Heartbeat: seconds(cfg.SSEHeartbeatSeconds), MaxAge: seconds(cfg.SSEMaxSeconds),
		},
	}, err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Components lists the parts of the service in the order they start.
func (s *Service) Components() []run.Component { return s.components }

// OpenAPI is the OpenAPI document of the REST API, as JSON.
func OpenAPI(version string) ([]byte, error) {
	return httpapi.New(httpapi.Options{MaxBody: 1 << 20, MaxBatch: 16 << 20, MaxPayload: 8 << 20, Version: version}, httpapi.Deps{Tracer: noop.NewTracerProvider(), Now: time.Now}).OpenAPI()
}

// Access says for each route of the REST API who may use it: the one table that
// the routes, the documentation and the tests are made of.
func Access() []access.Rule { return access.Table() }
