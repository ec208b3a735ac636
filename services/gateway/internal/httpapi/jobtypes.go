package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/services/gateway/internal/admission"
)

// JobTypeBody is what may be said of a job type; what is left out stays as it
// is, or gets its default.
type JobTypeBody struct {
	Queue *string `json:"queue,omitempty" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"The queue whose workers run it." example:"images"`
	JobTypeTerms
}

// JobTypeTerms are how jobs of a type are run. It is exported because huma passes
// over embedded structs that are not.
type JobTypeTerms struct {
	MaxAttempts    *int             `json:"max_attempts,omitempty" minimum:"1" maximum:"10" doc:"How often a job may be tried where it does not say. Default 3."`
	TimeoutSeconds *int             `json:"timeout_seconds,omitempty" minimum:"1" maximum:"86400" doc:"How long a run may take. Default 300."`
	ModeGated      *bool            `json:"mode_gated,omitempty" doc:"Payloads carry a mode that the submitter must be allowed to use."`
	RunsPerMessage *int             `json:"runs_per_message,omitempty" minimum:"1" maximum:"32" doc:"How many jobs may travel in one run message; above 1 for short runs only. Default 1."`
	BackoffSeconds []int            `json:"backoff_seconds,omitempty" minItems:"1" maxItems:"20" doc:"The waits after failed attempts, in seconds; the last one counts for all that follow. Default 2, 10, 30."`
	MinRole        *string          `json:"min_role,omitempty" enum:"operator,researcher,admin" doc:"The least role that may submit. Default operator."`
	PayloadSchema  *json.RawMessage `json:"payload_schema,omitempty" doc:"A JSON Schema that payloads must follow; null takes it away."`
	Enabled        *bool            `json:"enabled,omitempty" doc:"May be submitted. Default true."`
}

// over is the type with what the body says.
func (b JobTypeBody) over(t contract.JobType) (contract.JobType, error) {
	t.Queue, t.MaxAttempts, t.TimeoutSeconds = or(b.Queue, t.Queue), or(b.MaxAttempts, t.MaxAttempts), or(b.TimeoutSeconds, t.TimeoutSeconds)
	t.ModeGated, t.RunsPerMessage, t.Enabled, t.MinRole = or(b.ModeGated, t.ModeGated), or(b.RunsPerMessage, t.RunsPerMessage), or(b.Enabled, t.Enabled), or(b.MinRole, t.MinRole)
	if len(b.BackoffSeconds) > 0 {
		t.BackoffSeconds = b.BackoffSeconds
	}
	if b.PayloadSchema != nil {
		t.PayloadSchema = *b.PayloadSchema
		if string(t.PayloadSchema) == "null" {
			t.PayloadSchema = nil
		}
	}
	for _, wait := range t.BackoffSeconds {
		if wait < 0 || wait > int(contract.MaxDelay.Seconds()) {
			return t, fault.Unprocessablef("backoff_seconds holds %d: want 0 to %g", wait, contract.MaxDelay.Seconds())
		}
	}
	if len(t.PayloadSchema) > 0 {
		if _, err := admission.CompileSchema(t.PayloadSchema); err != nil {
			return t, err
		}
	}
	return t, nil
}

func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

type createTypeInput struct {
	Body struct {
		Name  string `json:"name" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"The name; a word of the subjects." example:"resize_images"`
		Queue string `json:"queue" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"The queue whose workers run it." example:"images"`
		JobTypeTerms
	}
}

type changeTypeInput struct {
	Name string `path:"name" maxLength:"64" doc:"The name of the job type."`
	Body JobTypeBody
}

// newType is a job type of which only the name is known.
func newType(name string) contract.JobType {
	return contract.JobType{
		Name: name, MaxAttempts: contract.DefaultMaxAttempts, TimeoutSeconds: 300, RunsPerMessage: 1, BackoffSeconds: []int{2, 10, 30},
		MinRole: string(identity.Operator), Enabled: true,
	}
}

func (s *Server) createType(ctx context.Context, in *createTypeInput) (*body[contract.JobType], error) {
	return s.setType(ctx, newType(in.Body.Name), JobTypeBody{Queue: &in.Body.Queue, JobTypeTerms: in.Body.JobTypeTerms}, true)
}

func (s *Server) changeType(ctx context.Context, in *changeTypeInput) (*body[contract.JobType], error) {
	t, err := s.findType(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return s.setType(ctx, t, in.Body, false)
}

// replaceType is changeType where what is left out gets its default.
func (s *Server) replaceType(ctx context.Context, in *changeTypeInput) (*body[contract.JobType], error) {
	old, err := s.findType(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	t := newType(in.Name)
	t.Queue = old.Queue
	return s.setType(ctx, t, in.Body, false)
}

func (s *Server) findType(ctx context.Context, name string) (contract.JobType, error) {
	known, err := bus.Call[contract.JobTypesReply](ctx, s.deps.NC, contract.RPCJobsTypes, none{})
	if err != nil {
		return contract.JobType{}, err
	}
	i := slices.IndexFunc(known.JobTypes, func(t contract.JobType) bool { return t.Name == name })
	if i < 0 {
		return contract.JobType{}, fault.NotFoundf("Job type not found")
	}
	return known.JobTypes[i], nil
}

func (s *Server) setType(ctx context.Context, t contract.JobType, b JobTypeBody, create bool) (*body[contract.JobType], error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if t, err = b.over(t); err != nil {
		return nil, err
	}
	t.MinRole = cmp.Or(t.MinRole, string(identity.Operator))
	return ask[contract.JobType](ctx, s, contract.RPCJobsSetType, contract.SetJobTypeRequest{JobType: t, Create: create, Actor: caller.Owner, RequestID: requestIDOf(ctx)})
}

func (s *Server) jobTypeRoutes() {
	const tag = "Job types"
	const one = "/api/v1/job-types/{name}"
	register(s, route{method: http.MethodGet, path: "/api/v1/job-types", id: "list-job-types", summary: "List the job types", tag: tag},
		func(ctx context.Context, _ *none) (*body[contract.JobTypesReply], error) {
			return ask[contract.JobTypesReply](ctx, s, contract.RPCJobsTypes, none{})
		})
	register(s, route{
		method: http.MethodPost, path: "/api/v1/job-types", id: "create-job-type", summary: "Make a job type", tag: tag,
		errors: []int{http.StatusUnprocessableEntity, http.StatusConflict},
	}, s.createType)
	missing := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	register(s, route{method: http.MethodPut, path: one, id: "replace-job-type", summary: "Describe a job type anew", tag: tag, errors: missing}, s.replaceType)
	register(s, route{method: http.MethodPatch, path: one, id: "change-job-type", summary: "Change a job type", tag: tag, errors: missing}, s.changeType)
}
