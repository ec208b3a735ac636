package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/await"
)

type submitBody struct {
	JobType        string          `json:"job_type" minLength:"1" maxLength:"64" doc:"The kind of job, for example ingest_batch." example:"ingest_batch"`
	Payload        json.RawMessage `json:"payload,omitempty" doc:"The job's input: a JSON object of at most 256 KiB."`
	ExecutionMode  string          `json:"execution_mode,omitempty" enum:"async,sync" default:"async" doc:"async answers once the job is recorded, sync once it is finished."`
	IdempotencyKey string          `json:"idempotency_key,omitempty" maxLength:"200" doc:"Repeating a submit with the same key gives the same job. A key belongs to its caller and job type."`
	MaxAttempts    int             `json:"max_attempts,omitempty" minimum:"1" maximum:"10" doc:"How often the job may be tried. Default: that of the job type, usually 3."`
}

type submitInput struct {
	Body submitBody
}

type submitted struct {
	JobID         string                 `json:"job_id" format:"uuid"`
	Status        contract.Status        `json:"status" enum:"accepted,queued,running,retry_wait,succeeded,failed,cancelled"`
	JobType       string                 `json:"job_type"`
	ExecutionMode contract.ExecutionMode `json:"execution_mode" enum:"async,sync"`
}

type submitOutput struct {
	Status int
	Body   submitted
}

// submitJob admits a job, has it recorded, and with execution_mode sync waits
// for its end.
func (s *Server) submitJob(ctx context.Context, in *submitInput) (*submitOutput, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	sub, err := s.deps.Admission.Admit(ctx, caller, admission.Ask{
		JobType: in.Body.JobType, Payload: in.Body.Payload, ExecutionMode: contract.ExecutionMode(in.Body.ExecutionMode),
		IdempotencyKey: in.Body.IdempotencyKey, MaxAttempts: in.Body.MaxAttempts, RequestID: requestIDOf(ctx),
	})
	if err != nil {
		return nil, err
	}
	var finished <-chan contract.Status
	if sub.ExecutionMode == contract.ModeSync {
		// Listening begins before the job exists, so its end cannot be missed.
		ch, stop, err := s.deps.Watcher.Watch(sub.JobID)
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, err, "Waiting for jobs is not possible now.")
		}
		defer stop()
		finished = ch
	}
	verdict, err := s.deps.Submitter.Submit(ctx, sub)
	if err != nil {
		return nil, err
	}
	out := &submitOutput{Status: http.StatusOK, Body: submitted{JobID: sub.JobID, Status: verdict.Status, JobType: sub.JobType, ExecutionMode: sub.ExecutionMode}}
	if verdict.Status == contract.StatusAccepted {
		s.accepted.add(sub)
		out.Status = http.StatusAccepted
	}
	if finished != nil && !verdict.Status.Finished() {
		s.waitForEnd(ctx, finished, out)
	}
	return out, nil
}

// waitForEnd fills in the final status, or 202 and the status as it is when
// the wait ends first.
func (s *Server) waitForEnd(ctx context.Context, finished <-chan contract.Status, out *submitOutput) {
	waitCtx, cancel := context.WithTimeout(ctx, s.opts.SyncWait)
	defer cancel()
	if status, ok := await.Wait(waitCtx, finished); ok {
		out.Status, out.Body.Status = http.StatusOK, status
		return
	}
	out.Status = http.StatusAccepted
	job, err := bus.Call[contract.Job](ctx, s.deps.NC, contract.RPCJobsGet, contract.JobRequest{JobID: out.Body.JobID})
	if err != nil {
		return
	}
	out.Body.Status = job.Status
	if job.Status.Finished() {
		out.Status = http.StatusOK
	}
}

func (s *Server) getJob(ctx context.Context, in *byID) (*body[contract.Job], error) {
	out, err := ask[contract.Job](ctx, s, contract.RPCJobsGet, contract.JobRequest{JobID: in.ID})
	if fault.KindOf(err) == fault.NotFound {
		if job, ok := s.accepted.get(in.ID); ok {
			return &body[contract.Job]{Body: job}, nil
		}
	}
	return out, err
}

func (s *Server) cancelJob(ctx context.Context, in *byID) (*body[contract.Job], error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	return ask[contract.Job](ctx, s, contract.RPCJobsCancel, contract.JobRequest{JobID: in.ID, Actor: caller.Owner, RequestID: requestIDOf(ctx)})
}

type jobsQuery struct {
	Page
	Status        string    `query:"status" enum:"queued,running,retry_wait,succeeded,failed,cancelled" doc:"Only jobs in this state."`
	JobType       string    `query:"job_type" maxLength:"64" doc:"Only jobs of this type."`
	CreatedBy     string    `query:"created_by" maxLength:"64" doc:"Only jobs of this owner."`
	CreatedAfter  time.Time `query:"created_after" doc:"Only jobs made after this time (RFC 3339)."`
	CreatedBefore time.Time `query:"created_before" doc:"Only jobs made before this time (RFC 3339)."`
}

func (s *Server) listJobs(ctx context.Context, in *jobsQuery) (*body[contract.ListJobsReply], error) {
	req := contract.ListJobsRequest{Status: in.Status, JobType: in.JobType, CreatedBy: in.CreatedBy, Limit: in.Limit, Offset: in.Offset}
	if !in.CreatedAfter.IsZero() {
		req.CreatedAfter = &in.CreatedAfter
	}
	if !in.CreatedBefore.IsZero() {
		req.CreatedBefore = &in.CreatedBefore
	}
	return ask[contract.ListJobsReply](ctx, s, contract.RPCJobsList, req)
}

func (s *Server) jobRoutes() {
	const tag = "Jobs"
	bad := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/submit", id: "submit-job", summary: "Submit a job", tag: tag,
		errors: append(bad, http.StatusConflict, http.StatusRequestEntityTooLarge),
	}, s.submitJob)
	register(s, route{method: http.MethodGet, path: "/api/v1/jobs", id: "list-jobs", summary: "List jobs, newest first", tag: tag, errors: bad}, s.listJobs)
	register(s, route{
		method: http.MethodGet, path: "/api/v1/jobs/{id}", id: "get-job", summary: "Read a job with its attempts and artifacts", tag: tag,
		errors: append(bad, http.StatusNotFound),
	}, s.getJob)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/{id}/cancel", id: "cancel-job", summary: "Cancel a job", tag: tag,
		errors: append(bad, http.StatusNotFound),
	}, s.cancelJob)
}
