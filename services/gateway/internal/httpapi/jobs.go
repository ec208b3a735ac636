package httpapi

import (
	"cmp"
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
	Payload        json.RawMessage `json:"payload,omitempty" doc:"The job's input: a JSON object of at most NEXUS_MAX_PAYLOAD_BYTES (8 MiB)."`
	ExecutionMode  string          `json:"execution_mode,omitempty" enum:"async,sync,shadow" default:"async" doc:"async answers once the job is recorded, sync once it is finished. shadow is for analyze jobs: sync, and the work is done once more by a job of its own; where it is off, it is sync."`
	IdempotencyKey string          `json:"idempotency_key,omitempty" maxLength:"200" doc:"Repeating a submit with the same key gives the same job. A key belongs to its caller and job type."`
	MaxAttempts    int             `json:"max_attempts,omitempty" minimum:"1" maximum:"10" doc:"How often the job may be tried. Default: that of the job type, usually 3."`
	Priority       string          `json:"priority,omitempty" enum:"high,normal,low" doc:"The lane of the queue. Default: normal."`
	RunAt          *time.Time      `json:"run_at,omitempty" doc:"Not before this time (RFC 3339), at most 366 days ahead; a time that has passed means at once."`
	DelaySeconds   *float64        `json:"delay_seconds,omitempty" minimum:"0" maximum:"31622400" doc:"Not before so many seconds have passed. Excludes run_at."`
	TimeoutSeconds int             `json:"timeout_seconds,omitempty" minimum:"1" maximum:"86400" doc:"How long one run may take. Default: that of the job type."`
	Tags           []string        `json:"tags,omitempty" maxItems:"16" doc:"Words to find the job by, each 1 to 64 of a-z A-Z 0-9 _ - . : / =."`
	Webhook        *jobWebhook     `json:"webhook,omitempty" doc:"Where the events of this job are posted."`
}

// jobWebhook is what is called contract.JobWebhook behind the door.
type jobWebhook struct {
	URL    string   `json:"url" minLength:"1" maxLength:"2048" doc:"http or https, without a user and a fragment." example:"https://example.com/hook"`
	Events []string `json:"events,omitempty" maxItems:"6" doc:"Kinds such as job.succeeded. Default: all." example:"[\"job.succeeded\",\"job.failed\"]"`
}

func (h *jobWebhook) hook() *contract.JobWebhook {
	if h == nil {
		return nil
	}
	return &contract.JobWebhook{URL: h.URL, Events: h.Events}
}

// ask is what the body asks for.
func (b submitBody) ask(requestID string) admission.Ask {
	return admission.Ask{
		JobType: b.JobType, Payload: b.Payload, ExecutionMode: contract.ExecutionMode(cmp.Or(b.ExecutionMode, string(contract.ModeAsync))),
		IdempotencyKey: b.IdempotencyKey, MaxAttempts: b.MaxAttempts, Priority: b.Priority, RunAt: b.RunAt, DelaySeconds: b.DelaySeconds,
		TimeoutSeconds: b.TimeoutSeconds, Tags: b.Tags, Webhook: b.Webhook.hook(), RequestID: requestID,
	}
}

type submitInput struct {
	Body submitBody
}

type submitted struct {
	JobID         string                 `json:"job_id" format:"uuid"`
	Status        contract.Status        `json:"status" enum:"accepted,queued,running,retry_wait,succeeded,failed,cancelled"`
	JobType       string                 `json:"job_type"`
	ExecutionMode contract.ExecutionMode `json:"execution_mode" enum:"async,sync,shadow"`
	ErrorText     string                 `json:"error_text,omitempty" doc:"Why the job failed; only of one that has, and whose end was waited for."`
	ShadowJobID   string                 `json:"shadow_job_id,omitempty" format:"uuid" doc:"The job that does the work once more, in execution mode shadow."`
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
	sub, err := s.deps.Admission.Admit(ctx, caller, in.Body.ask(requestIDOf(ctx)))
	if err != nil {
		return nil, err
	}
	var finished <-chan await.End
	if sub.ExecutionMode != contract.ModeAsync {
		// Listening begins before the job exists, so its end cannot be missed.
		ch, stop, err := s.deps.Watcher.Watch(sub.JobID)
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, err, "Waiting for jobs is not possible now.")
		}
		defer stop()
		finished = ch
	}
	subs := []contract.Submission{sub}
	if sub.ExecutionMode == contract.ModeShadow {
		if subs, err = withShadow(sub); err != nil {
			return nil, err
		}
	}
	verdict, err := s.record(ctx, subs)
	if err != nil {
		return nil, err
	}
	out := &submitOutput{Status: http.StatusOK, Body: submitted{JobID: sub.JobID, Status: verdict.Status, JobType: sub.JobType, ExecutionMode: sub.ExecutionMode}}
	if len(subs) > 1 {
		out.Body.ShadowJobID = subs[1].JobID
	}
	if verdict.Status == contract.StatusAccepted {
		out.Status = http.StatusAccepted
	}
	switch {
	case finished == nil:
	case !verdict.Status.Finished():
		s.waitForEnd(ctx, finished, out)
	case verdict.Status == contract.StatusFailed:
		// A repeat of a request whose job has failed before.
		s.readEnd(ctx, out)
	}
	return out, nil
}

// waitForEnd fills in the final status, or 202 and the status as it is when
// the wait ends first.
func (s *Server) waitForEnd(ctx context.Context, finished <-chan await.End, out *submitOutput) {
	waitCtx, cancel := context.WithTimeout(ctx, s.opts.SyncWait)
	defer cancel()
	if end, ok := await.Wait(waitCtx, finished); ok {
		out.Status, out.Body.Status, out.Body.ErrorText = http.StatusOK, end.Status, end.ErrorText
		return
	}
	out.Status = http.StatusAccepted
	s.readEnd(ctx, out)
}

// readEnd fills in how the job is by now, where that can be known.
func (s *Server) readEnd(ctx context.Context, out *submitOutput) {
	job, err := bus.Call[contract.Job](ctx, s.deps.NC, contract.RPCJobsGet, contract.JobRequest{JobID: out.Body.JobID})
	if err != nil {
		return
	}
	out.Body.Status = job.Status
	if job.Status.Finished() {
		out.Status = http.StatusOK
	}
	if job.Status == contract.StatusFailed && job.ErrorText != nil {
		out.Body.ErrorText = *job.ErrorText
	}
}

// getJob shows a job whole, but for outputs larger than maxShown.
func (s *Server) getJob(ctx context.Context, in *byID) (*body[contract.Job], error) {
	job, err := s.findJob(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.complete(ctx, in.ID, &job); err != nil {
		return nil, err
	}
	return &body[contract.Job]{Body: job}, nil
}

// findJob reads a job without what does not travel with it, also one that is not
// recorded yet.
func (s *Server) findJob(ctx context.Context, id string) (contract.Job, error) {
	job, err := bus.Call[contract.Job](ctx, s.deps.NC, contract.RPCJobsGet, contract.JobRequest{JobID: id})
	if fault.KindOf(err) == fault.NotFound {
		return s.deps.Accepted.Find(ctx, id)
	}
	return job, err
}

// changeJob has a job changed and shows it.
func (s *Server) changeJob(ctx context.Context, subject, id string) (*body[contract.Job], error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	out, err := ask[contract.Job](ctx, s, subject, contract.JobRequest{JobID: id, Actor: caller.Owner, RequestID: requestIDOf(ctx)})
	if err != nil {
		return nil, err
	}
	return out, s.complete(ctx, id, &out.Body)
}

// keepAccepted lets every gateway know of jobs whose record is still to come. They
// are safe without it.
func (s *Server) keepAccepted(ctx context.Context, subs ...contract.Submission) {
	if err := s.deps.Accepted.Keep(ctx, subs...); err != nil {
		s.log.Warn().Err(err).Int("jobs", len(subs)).Msg("accepted jobs cannot be read before they are recorded")
	}
}

func (s *Server) cancelJob(ctx context.Context, in *byID) (*body[contract.Job], error) {
	return s.changeJob(ctx, contract.RPCJobsCancel, in.ID)
}

type jobsQuery struct {
	Page
	Status        string    `query:"status" enum:"queued,running,retry_wait,succeeded,failed,cancelled" doc:"Only jobs in this state."`
	JobType       string    `query:"job_type" maxLength:"64" doc:"Only jobs of this type."`
	CreatedBy     string    `query:"created_by" maxLength:"64" doc:"Only jobs of this owner."`
	CreatedAfter  time.Time `query:"created_after" doc:"Only jobs made after this time (RFC 3339)."`
	CreatedBefore time.Time `query:"created_before" doc:"Only jobs made before this time (RFC 3339)."`
	Priority      string    `query:"priority" enum:"high,normal,low" doc:"Only jobs of this lane."`
	Tag           string    `query:"tag" maxLength:"64" doc:"Only jobs with this tag."`
	Cursor        string    `query:"cursor" maxLength:"200" doc:"The next_cursor of the page before; excludes offset."`
}

func (s *Server) listJobs(ctx context.Context, in *jobsQuery) (*body[contract.ListJobsReply], error) {
	req := contract.ListJobsRequest{
		Status: in.Status, JobType: in.JobType, CreatedBy: in.CreatedBy, Priority: in.Priority, Tag: in.Tag, Limit: in.Limit, Offset: in.Offset, Cursor: in.Cursor,
	}
	req.CreatedAfter, req.CreatedBefore = given(in.CreatedAfter), given(in.CreatedBefore)
	return ask[contract.ListJobsReply](ctx, s, contract.RPCJobsList, req)
}

// given is nil for a time that was left out.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Server) retryJob(ctx context.Context, in *byID) (*body[contract.Job], error) {
	return s.changeJob(ctx, contract.RPCJobsRetry, in.ID)
}

type retryBody struct {
	Status        string     `json:"status" enum:"failed,cancelled" doc:"The state of the jobs to try again."`
	JobType       string     `json:"job_type,omitempty" maxLength:"64"`
	CreatedBy     string     `json:"created_by,omitempty" maxLength:"64"`
	CreatedAfter  *time.Time `json:"created_after,omitempty"`
	CreatedBefore *time.Time `json:"created_before,omitempty"`
	Tag           string     `json:"tag,omitempty" maxLength:"64"`
	Limit         int        `json:"limit,omitempty" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
	PerSecond     int        `json:"per_second,omitempty" minimum:"1" maximum:"1000" default:"50" doc:"How many may start in a second."`
}

type retryInput struct{ Body retryBody }

func (s *Server) retryJobs(ctx context.Context, in *retryInput) (*body[contract.RetryJobsReply], error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	b := in.Body
	return ask[contract.RetryJobsReply](ctx, s, contract.RPCJobsRetryMany, contract.RetryJobsRequest{
		Status: b.Status, JobType: b.JobType, CreatedBy: b.CreatedBy, CreatedAfter: b.CreatedAfter, CreatedBefore: b.CreatedBefore, Tag: b.Tag,
		Limit: cmp.Or(b.Limit, 100), PerSecond: cmp.Or(b.PerSecond, 50), Actor: caller.Owner, RequestID: requestIDOf(ctx),
	})
}

func (s *Server) jobRoutes() {
	const tag = "Jobs"
	bad := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/submit", id: "submit-job", summary: "Submit a job", tag: tag,
		errors: append(bad, http.StatusConflict, http.StatusRequestEntityTooLarge), maxBody: s.opts.submitBody(),
	}, s.submitJob)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/batch", id: "submit-jobs", summary: "Submit up to 1,000 jobs, all or none", tag: tag,
		errors: append(bad, http.StatusConflict, http.StatusRequestEntityTooLarge), maxBody: s.opts.MaxBatch,
	}, s.submitJobs)
	register(s, route{method: http.MethodGet, path: "/api/v1/jobs/counts", id: "count-jobs", summary: "Count jobs by state", tag: tag},
		func(ctx context.Context, _ *none) (*body[contract.JobCounts], error) {
			return ask[contract.JobCounts](ctx, s, contract.RPCJobsCounts, none{})
		})
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/retry", id: "retry-jobs", summary: "Try failed or cancelled jobs again", tag: tag, errors: bad,
	}, s.retryJobs)
	register(s, route{method: http.MethodGet, path: "/api/v1/jobs", id: "list-jobs", summary: "List jobs, newest first", tag: tag, errors: bad}, s.listJobs)
	register(s, route{
		method: http.MethodGet, path: "/api/v1/jobs/{id}", id: "get-job", summary: "Read a job with its attempts and artifacts", tag: tag,
		errors: append(bad, http.StatusNotFound),
	}, s.getJob)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/{id}/cancel", id: "cancel-job", summary: "Cancel a job", tag: tag,
		errors: append(bad, http.StatusNotFound),
	}, s.cancelJob)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/jobs/{id}/retry", id: "retry-job", summary: "Try a failed or cancelled job again", tag: tag,
		errors: append(bad, http.StatusNotFound, http.StatusConflict),
	}, s.retryJob)
}
