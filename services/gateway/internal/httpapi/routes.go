package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
)

// retryAfter is what clients are told to wait when the platform is not able to
// serve, in seconds.
const retryAfter = "2"

// route describes an operation.
type route struct {
	method, path, id, summary, tag string
	// role is the least role; empty means that no key is needed.
	role identity.Role
	// errors are the statuses besides those every route can have.
	errors []int
}

// register adds an operation with its handler, and gives its errors their shape.
func register[In, Out any](s *Server, r route, handler func(context.Context, *In) (*Out, error)) {
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{r.tag},
		Metadata: map[string]any{}, MaxBodyBytes: int64(s.opts.MaxBody) + 1,
		Errors: append([]int{http.StatusInternalServerError}, r.errors...),
	}
	if r.role != "" {
		op.Metadata[metaRole] = r.role
		op.Security = []map[string][]string{{"apiKey": {}}}
		op.Description = "Needs the role `" + string(r.role) + "` or above."
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
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
	if fault.KindOf(err) == fault.Internal {
		s.log.Error().Err(err).Str(telemetry.FieldRequestID, p.RequestID).Str(telemetry.FieldTraceID, telemetry.TraceID(ctx)).Msg("request failed")
	}
	if p.Status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfter}})
	}
	return p
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
	s.jobRoutes()
	s.corpusRoutes()
}

func (s *Server) platformRoutes() {
	register(s, route{method: http.MethodGet, path: "/healthz", id: "health", summary: "Is the process alive?", tag: "Platform"}, s.healthz)
	register(s, route{method: http.MethodGet, path: "/readyz", id: "ready", summary: "Can it serve?", tag: "Platform", errors: []int{http.StatusServiceUnavailable}}, s.readyz)
	register(s, route{method: http.MethodGet, path: "/api/v1/auth/whoami", id: "whoami", summary: "Who am I, and what may I do?", tag: "Access", role: identity.Viewer}, s.whoami)
}

func (s *Server) jobRoutes() {
	const tag = "Jobs"
	bad := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/submit", id: "submit-job", summary: "Submit a job", tag: tag, role: identity.Operator,
		errors: append(bad, http.StatusConflict, http.StatusRequestEntityTooLarge),
	}, s.submitJob)
	register(s, route{method: http.MethodGet, path: "/api/v1/jobs", id: "list-jobs", summary: "List jobs, newest first", tag: tag, role: identity.Viewer, errors: bad}, s.listJobs)
	register(s, route{
		method: http.MethodGet, path: "/api/v1/jobs/{id}", id: "get-job", summary: "Read a job with its attempts and artifacts", tag: tag, role: identity.Viewer,
		errors: append(bad, http.StatusNotFound),
	}, s.getJob)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/{id}/cancel", id: "cancel-job", summary: "Cancel a job", tag: tag, role: identity.Operator,
		errors: append(bad, http.StatusNotFound),
	}, s.cancelJob)
}

func (s *Server) corpusRoutes() {
	missing := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	register(s, route{method: http.MethodGet, path: "/api/v1/documents", id: "list-documents", summary: "List documents, newest first", tag: "Corpus", role: identity.Viewer, errors: missing[1:]},
		func(ctx context.Context, in *Page) (*body[contract.DocumentsReply], error) {
			return ask[contract.DocumentsReply](ctx, s, contract.RPCCorpusDocuments, contract.DocumentsRequest{Limit: in.Limit, Offset: in.Offset})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/documents/{id}", id: "get-document", summary: "Read a document with its provenance", tag: "Corpus", role: identity.Viewer, errors: missing},
		func(ctx context.Context, in *byID) (*body[contract.Document], error) {
			return ask[contract.Document](ctx, s, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: in.ID})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/ingest/jobs/{id}", id: "get-ingest-job", summary: "Read what an ingest did, file by file", tag: "Corpus", role: identity.Viewer, errors: missing},
		func(ctx context.Context, in *byID) (*body[contract.IngestJob], error) {
			return ask[contract.IngestJob](ctx, s, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: in.ID})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/analysis/runs", id: "list-analysis-runs", summary: "List analysis runs, newest first", tag: "Analysis", role: identity.Viewer, errors: missing[1:]},
		func(ctx context.Context, in *runsQuery) (*body[contract.AnalysisRunsReply], error) {
			return ask[contract.AnalysisRunsReply](ctx, s, contract.RPCPluginsRuns, contract.AnalysisRunsRequest{Limit: in.Limit, Offset: in.Offset, DocumentID: in.DocumentID})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/analysis/runs/{id}", id: "get-analysis-run", summary: "Read an analysis run with its layers", tag: "Analysis", role: identity.Viewer, errors: missing},
		func(ctx context.Context, in *byID) (*body[contract.AnalysisRun], error) {
			return ask[contract.AnalysisRun](ctx, s, contract.RPCPluginsRun, contract.AnalysisRunRequest{AnalysisRunID: in.ID})
		})
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

type runsQuery struct {
	Page
	DocumentID string `query:"document_id" format:"uuid" doc:"Only the runs of this document."`
}
