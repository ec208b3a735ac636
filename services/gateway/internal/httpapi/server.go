// Package httpapi is the REST door: routes, authentication, errors and
// documentation. What the routes do is asked of the services behind.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/apidoc"
	"nexus.internal/services/gateway/internal/await"
	"nexus.internal/services/gateway/internal/decision"
	"nexus.internal/services/gateway/internal/eventstream"
)

// Options are the settings of the server.
type Options struct {
	// SyncWait is how long a sync submit waits for the job to finish.
	SyncWait time.Duration
	// MaxBody is the largest request body, in bytes.
	MaxBody int
	// AuthFailures is how often an address may fail to log in, a minute.
	AuthFailures int
	// Proxies are those whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// MaxBatch is the largest body of a batch of jobs, MaxPayload the largest
	// payload of one, in bytes.
	MaxBatch   int
	MaxPayload int
	// Streams bound the event streams.
	Streams eventstream.Options
	Version string
}

// submitBody is the largest body of a submit, in bytes: a payload, and room for
// the rest.
func (o Options) submitBody() int { return max(o.MaxBody, o.MaxPayload+64<<10) }

// Submitter has jobs recorded.
type Submitter interface {
	Submit(ctx context.Context, sub contract.Submission) (contract.SubmitVerdict, error)
	SubmitBatch(ctx context.Context, subs []contract.Submission) ([]contract.SubmitVerdict, error)
}

// Deps are what the server needs.
type Deps struct {
	NC        *nats.Conn
	Listener  net.Listener
	Admission *admission.Admission
	Submitter Submitter
	Watcher   *await.Watcher
	// Decisions keeps who was let in and who was not.
	Decisions *decision.Ledger
	Limits    Limits
	Buckets   Bucket
	Events    *eventstream.Hub
	Log       zerolog.Logger
	Tracer    trace.TracerProvider
	Now       func() time.Time
}

// Server is a run.Component.
type Server struct {
	opts     Options
	deps     Deps
	log      zerolog.Logger
	tracer   trace.Tracer
	app      *fiber.App
	api      huma.API
	accepted *accepted
	origins  origins
	guesses  *guesses
	clients  *eventstream.Clients
	draining atomic.Bool
}

// New builds the server with all its routes.
func New(opts Options, deps Deps) *Server {
	s := &Server{
		opts: opts, deps: deps, log: deps.Log, tracer: deps.Tracer.Tracer("nexus.internal/services/gateway/httpapi"),
		accepted: newAccepted(deps.Now), origins: origins{opts.Proxies}, clients: eventstream.NewClients(opts.Streams), guesses: newGuesses(deps.Buckets, opts.AuthFailures, deps.Now),
	}
	s.app = fiber.New(fiber.Config{
		AppName:               "nexus",
		DisableStartupMessage: true,
		// Fiber reuses the memory of paths, queries and headers for the next
		// request; identities must not change under our feet.
		Immutable:     true,
		CaseSensitive: true,
		StrictRouting: true,
		// A body that is a little too large is read and answered; one that is
		// much too large is cut off.
		BodyLimit:          max(opts.MaxBody, opts.MaxBatch, opts.submitBody()) + 256<<10,
		ReadBufferSize:     16 << 10,
		ReadTimeout:        30 * time.Second,
		IdleTimeout:        2 * time.Minute,
		ErrorHandler:       s.onFiberError,
		DisableDefaultDate: true,
	})
	s.app.Use(s.observe, recover.New())
	s.api = humafiber.New(s.app, humaConfig(opts.Version))
	s.api.UseMiddleware(s.authenticate)
	s.routes()
	describeProblems(s.api.OpenAPI())
	apidoc.Complete(s.api.OpenAPI(), s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, ""))
	s.docs()
	return s
}

func humaConfig(version string) huma.Config {
	cfg := huma.DefaultConfig("Nexus", version)
	cfg.Info.Description = "An event-driven job platform: submit jobs, follow them, read what they made."
	cfg.CreateHooks = nil
	// Our own page, which loads nothing from elsewhere.
	cfg.DocsPath = ""
	cfg.SchemasPath = ""
	cfg.Transformers = append(cfg.Transformers, asProblem)
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"apiKey": {Type: "apiKey", In: "header", Name: headerAPIKey, Description: "An API key."},
		"token":  {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A token from /api/v1/auth/token, or an API key."},
	}
	return cfg
}

// OpenAPI is the OpenAPI 3.1 document, as JSON.
func (s *Server) OpenAPI() ([]byte, error) {
	doc, err := s.api.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return doc, nil
}

// Name implements run.Component.
func (s *Server) Name() string { return "http" }

// shutdownWithin bounds how long open requests may take to end.
const shutdownWithin = 10 * time.Second

// Run implements run.Component.
func (s *Server) Run(ctx context.Context, ready func()) error {
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(s.deps.Listener) }()
	s.log.Info().Str("address", s.deps.Listener.Addr().String()).Msg("serving HTTP")
	ready()
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	// Streams would not end by themselves.
	s.clients.Stop()
	if err := s.app.ShutdownWithTimeout(shutdownWithin); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down HTTP: %w", err)
	}
	return <-served
}
