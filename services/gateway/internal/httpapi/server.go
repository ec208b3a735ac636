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
	"nexus.internal/libs/metrics"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/apidoc"
	"nexus.internal/services/gateway/internal/await"
	"nexus.internal/services/gateway/internal/decision"
	"nexus.internal/services/gateway/internal/eventstream"
	"nexus.internal/services/gateway/internal/readiness"
	"nexus.internal/services/gateway/internal/reqbody"
)

// Options are the settings of the server.
type Options struct {
	// SyncWait is how long a sync submit waits for the job to finish.
	SyncWait time.Duration
	// ReadSilence is how long a client may be silent in the middle of a request,
	// ReadWhole how long it may take with all of a body, and of an answer.
	ReadSilence, ReadWhole time.Duration
	// NotReady is how long the server goes on while it says that it is not ready,
	// Closing how long answers then end their connections, before all are closed.
	NotReady, Closing time.Duration
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

// largestBody is the largest body of any route, in bytes.
func (o Options) largestBody() int64 { return int64(max(o.MaxBody, o.MaxBatch, o.submitBody())) }

// bodyMemory is how many bytes all encoded bodies together may take, at least.
const bodyMemory = 64 << 20

// Submitter has jobs recorded.
type Submitter interface {
	Submit(ctx context.Context, sub contract.Submission) (contract.SubmitVerdict, error)
	SubmitBatch(ctx context.Context, subs []contract.Submission) ([]contract.SubmitVerdict, error)
}

// Readiness finds out whether jobs can be taken.
type Readiness interface {
	Check(ctx context.Context) readiness.Report
}

// Accepted knows the jobs that were accepted and are not recorded yet. Find's fault
// for any other is NotFound.
type Accepted interface {
	Keep(ctx context.Context, subs ...contract.Submission) error
	Find(ctx context.Context, id string) (contract.Job, error)
}

// Deps are what the server needs.
type Deps struct {
	NC        *nats.Conn
	Listener  net.Listener
	Admission *admission.Admission
	Submitter Submitter
	Watcher   *await.Watcher
	Readiness Readiness
	Accepted  Accepted
	// Decisions keeps who was let in and who was not.
	Decisions *decision.Ledger
	Limits    Limits
	Buckets   Bucket
	Events    *eventstream.Hub
	LogLevels LogLevels
	Log       zerolog.Logger
	Tracer    trace.TracerProvider
	Now       func() time.Time
	// Metrics is what the process measures; nil measures nothing.
	Metrics *metrics.Provider
}

// Server is a run.Component.
type Server struct {
	opts     Options
	deps     Deps
	log      zerolog.Logger
	tracer   trace.Tracer
	app      *fiber.App
	api      huma.API
	origins  origins
	guesses  *guesses
	clients  *eventstream.Clients
	bodies   *reqbody.Reader
	measures *measures
	// draining says that no new client should come, closing that those which are
	// here should go.
	draining, closing atomic.Bool
}

// New builds the server with all its routes.
func New(opts Options, deps Deps) *Server {
	measured := deps.Metrics.For("gateway")
	s := &Server{
		opts: opts, deps: deps, log: deps.Log, tracer: deps.Tracer.Tracer("nexus.internal/services/gateway/httpapi"),
		measures: newMeasures(measured), origins: origins{opts.Proxies}, clients: eventstream.NewClients(opts.Streams), guesses: newGuesses(deps.Buckets, opts.AuthFailures, deps.Now),
		bodies: reqbody.New(reqbody.Limits{Silence: opts.ReadSilence, Whole: opts.ReadWhole, Memory: max(bodyMemory, 2*reqbody.Needed(int(opts.largestBody())))}),
	}
	s.app = fiber.New(fiber.Config{
		AppName:               "nexus",
		DisableStartupMessage: true,
		// Fiber reuses the memory of paths, queries and headers for the next
		// request; identities must not change under our feet.
		Immutable:     true,
		CaseSensitive: true,
		StrictRouting: true,
		// Bodies are read once a request is let in, and by nobody but
		// reqbody: the framework keeps the first byte and hands over a stream.
		StreamRequestBody:            true,
		BodyLimit:                    1,
		DisablePreParseMultipartForm: true,
		ReadBufferSize:               16 << 10,
		// The head of a request must be complete in this time.
		ReadTimeout: opts.ReadSilence,
		// Event streams set deadlines of their own, for each event.
		WriteTimeout:       opts.ReadWhole,
		IdleTimeout:        2 * time.Minute,
		ErrorHandler:       s.onFiberError,
		DisableDefaultDate: true,
	})
	server := s.app.Server()
	server.Handler, server.ErrorHandler = s.serve(server.Handler), s.onReadError
	s.app.Use(s.observe, recover.New())
	s.api = humafiber.NewWithGroup(s.app, headRouter{s.app}, humaConfig(opts.Version))
	s.api.UseMiddleware(s.authenticate, s.lookUp, s.checkAddress, s.receive)
	s.routes()
	describeProblems(s.api.OpenAPI())
	apidoc.Complete(s.api.OpenAPI(), s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, ""))
	s.docs()
	s.measures.know(s.app, s.api.OpenAPI())
	measured.Observe(metrics.EventStreams, func(say metrics.Say) { say(float64(s.clients.Open())) })
	return s
}

func humaConfig(version string) huma.Config {
	cfg := huma.DefaultConfig("Nexus", version)
	cfg.Info.Description = "An event-driven job platform: submit jobs, follow them, read what they made."
	cfg.CreateHooks = nil
	// Our own page, which loads nothing from elsewhere.
	cfg.DocsPath = ""
	cfg.SchemasPath = ""
	cfg.Formats = formats()
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

// drain lets clients go before connections are closed: first no new ones are sent
// here, while everything goes on as before; then each answer says that its
// connection ends with it. A client that hears of the end in an answer does not
// send its next request into a connection that is being closed.
func (s *Server) drain(served chan error) {
	s.draining.Store(true)
	s.pause(served, s.opts.NotReady)
	s.closing.Store(true)
	// Streams would not end by themselves.
	s.clients.Stop()
	s.pause(served, s.opts.Closing)
}

// pause waits, or less where there is nothing left to serve.
func (s *Server) pause(served chan error, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-served:
		served <- err
	}
}

// shutdownWithin bounds how long open requests may take to end.
const shutdownWithin = 10 * time.Second

// Run implements run.Component.
func (s *Server) Run(ctx context.Context, ready func()) error {
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(reqbody.Listen(s.deps.Listener)) }()
	s.log.Info().Str("address", s.deps.Listener.Addr().String()).Msg("serving HTTP")
	ready()
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	s.drain(served)
	if err := s.app.ShutdownWithTimeout(shutdownWithin); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down HTTP: %w", err)
	}
	return <-served
}
