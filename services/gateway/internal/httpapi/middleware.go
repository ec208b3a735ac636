package httpapi

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/telemetry"
)

const (
	headerRequestID = "X-Request-ID"
	headerAPIKey    = "X-Nexus-API-Key"
	maxRequestID    = 128
)

type requestIDKey struct{}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

func requestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// requestID is the caller's own id when it is sane, or a new one.
func requestID(given string) string {
	if given == "" || len(given) > maxRequestID {
		return uuid.NewString()
	}
	for i := range len(given) {
		if given[i] <= ' ' || given[i] > '~' {
			return uuid.NewString()
		}
	}
	return given
}

// observe gives each request an id and a span, and writes its line in the log.
func (s *Server) observe(c *fiber.Ctx) error {
	start := time.Now()
	s.measures.inFlight.Add(1)
	defer s.measures.inFlight.Add(-1)
	id := requestID(c.Get(headerRequestID))
	c.Set(headerRequestID, id)
	ctx := telemetry.WithRequestID(telemetry.WithTraceParent(c.UserContext(), c.Get("Traceparent")), id)
	ctx, span := s.tracer.Start(withRequestID(ctx, id), "HTTP "+c.Method(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", c.Method()), attribute.String("nexus.request_id", id)))
	defer span.End()
	c.SetUserContext(ctx)
	err := c.Next()
	if err != nil {
		// The answer must be written here for the log to know its status.
		err = s.onFiberError(c, err)
	}
	status := c.Response().StatusCode()
	took := time.Since(start)
	s.measures.answered(c, status, took)
	if span.IsRecording() {
		span.SetName(c.Method() + " " + c.Route().Path)
		span.SetAttributes(attribute.String("http.route", c.Route().Path), attribute.Int("http.response.status_code", status))
		if status >= fiber.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
	level := zerolog.DebugLevel
	if status >= fiber.StatusInternalServerError {
		level = zerolog.WarnLevel
	}
	s.logRequest(ctx, c, level, nil, took)
	return err
}

// logRequest writes what identifies a request. The path is the route's pattern:
// raw paths may hold anything.
func (s *Server) logRequest(ctx context.Context, c *fiber.Ctx, level zerolog.Level, err error, took time.Duration) {
	e := s.log.WithLevel(level)
	if !e.Enabled() {
		return
	}
	e.Err(err).Dur("ms", took).Int("status", c.Response().StatusCode()).
		Str(telemetry.FieldRequestID, requestIDOf(ctx)).Str(telemetry.FieldTraceID, telemetry.TraceID(ctx)).
		Str("method", c.Method()).Str("route", c.Route().Path).Msg("request")
}
