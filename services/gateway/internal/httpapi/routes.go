package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/gateway/internal/access"
)

// retryAfter is what clients are told to wait when the platform is not able to
// serve, in seconds.
const retryAfter = "2"

// route describes an operation.
type route struct {
	method, path, id, summary, tag string
	// status is that of an answer that is no error; zero means 200, or 204 for one
	// without a body.
	status int
	// errors are the statuses besides those every route can have.
	errors []int
	// maxBody is the largest body, in bytes; zero means that of the server.
	maxBody int
	// responses describe answers that are not JSON.
	responses map[string]*huma.Response
}

// least is the least role of a route. One that the table of access does not
// know is for admins only, and a test fails.
func (s *Server) least(method, path string) identity.Role {
	rule, ok := access.Find(method, path)
	if !ok {
		return identity.Admin
	}
	return rule.Least
}

// register adds an operation with its handler, and gives its errors their shape.
func register[In, Out any](s *Server, r route, handler func(context.Context, *In) (*Out, error)) {
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{r.tag},
		Metadata: map[string]any{}, DefaultStatus: r.status, MaxBodyBytes: int64(cmp.Or(r.maxBody, s.opts.MaxBody)) + 1,
		Errors: append([]int{http.StatusInternalServerError}, r.errors...), Responses: r.responses,
	}
	if role := s.least(r.method, r.path); role != "" {
		op.Metadata[metaRole] = role
		op.Security = []map[string][]string{{"apiKey": {}}, {"token": {}}}
		op.Description = "Needs the role `" + string(role) + "` or above."
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// problem turns a handler's error into the answer, and logs what nobody
// outside is told.
func (s *Server) problem(ctx context.Context, err error) error {
	p := problemOf(ctx, err)
	if p.Status == http.StatusInternalServerError {
		s.log.Error().Err(err).Str(telemetry.FieldRequestID, p.RequestID).Str(telemetry.FieldTraceID, telemetry.TraceID(ctx)).Msg("request failed")
	}
	if after := retryAfterOf(p.Status, err); after != "" {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {after}})
	}
	return p
}

// retryAfterOf is how long a refused client should wait, in seconds; empty where
// waiting does not help.
func retryAfterOf(status int, err error) string {
	var often *tooOftenError
	switch {
	case errors.As(err, &often):
		return strconv.Itoa(max(1, seconds(often.wait)))
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return retryAfter
	default:
		return ""
	}
}

type none struct{}

type body[T any] struct{ Body T }

// ask answers a route with what a service says.
func ask[Resp any](ctx context.Context, s *Server, subject string, req any) (*body[Resp], error) {
	resp, err := bus.Call[Resp](ctx, s.deps.NC, subject, req)
	if err != nil {
		return nil, err
	}
	return &body[Resp]{Body: resp}, nil
}

func callerOf(ctx context.Context) (identity.Caller, error) {
	c, ok := identity.FromContext(ctx)
	if !ok {
		return c, fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
	}
	return c, nil
}

// routes lists every operation of the API.
func (s *Server) routes() {
	s.platformRoutes()
	s.keyRoutes()
	s.tokenRoutes()
	s.featureRoutes()
	s.jobRoutes()
	s.outputRoutes()
	s.jobTypeRoutes()
	s.queueRoutes()
	s.eventRoutes()
	s.webhookRoutes()
	s.corpusRoutes()
	s.analysisRoutes()
	s.branchRoutes()
	s.seedRoutes()
	s.remixRoutes()
	s.graphRoutes()
	s.auditRoutes()
	s.deadLetterRoutes()
	s.logLevelRoutes()
}

type byID struct {
	ID string `path:"id" format:"uuid" doc:"The id."`
}

// Page selects a part of a list. It is exported because huma passes over
// embedded structs that are not.
type Page struct {
	Limit  int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
	Offset int `query:"offset" minimum:"0" maximum:"10000000" default:"0" doc:"How many to pass over."`
}
