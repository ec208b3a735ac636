package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/await"
)

// codeJobFailed is the code of a job that failed of nothing its caller did.
const codeJobFailed = "job_failed"

// runJob has a job of a built-in type run and waits for its end, so that a
// client need not know that there is one. What the client did wrong comes back as
// the fault that the job's handler said it was. A job that has not ended when the
// wait does is returned as it is.
func (s *Server) runJob(ctx context.Context, jobType string, payload any) (contract.Job, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return contract.Job{}, fmt.Errorf("encode the payload: %w", err)
	}
	caller, err := callerOf(ctx)
	if err != nil {
		return contract.Job{}, err
	}
	sub, err := s.deps.Admission.Admit(ctx, caller, admission.Ask{
		JobType: jobType, Payload: data, ExecutionMode: contract.ModeSync, RequestID: requestIDOf(ctx),
	})
	if err != nil {
		return contract.Job{}, err
	}
	job, err := s.runSubmissions(ctx, sub)
	if err != nil {
		return contract.Job{}, err
	}
	return job, s.completeOutputs(ctx, sub.JobID, &job)
}

// runSubmissions has jobs recorded, all or none, and waits for the end of the first. It
// returns that job as it is when the wait ends: finished, or not yet. A job that
// has failed is the fault that it failed with.
func (s *Server) runSubmissions(ctx context.Context, subs ...contract.Submission) (contract.Job, error) {
	// Listening begins before the job exists, so its end cannot be missed.
	finished, stop, err := s.deps.Watcher.Watch(subs[0].JobID)
	if err != nil {
		return contract.Job{}, fault.Wrap(fault.Unavailable, err, "Waiting for jobs is not possible now.")
	}
	defer stop()
	verdict, err := s.record(ctx, subs)
	if err != nil {
		return contract.Job{}, err
	}
	if !verdict.Status.Finished() {
		waitCtx, cancel := context.WithTimeout(ctx, s.opts.SyncWait)
		defer cancel()
		await.Wait(waitCtx, finished)
	}
	job, err := bus.Call[contract.Job](ctx, s.deps.NC, contract.RPCJobsGet, contract.JobRequest{JobID: subs[0].JobID})
	if fault.KindOf(err) == fault.NotFound {
		// The broker has it, the record is yet to come.
		return s.deps.Accepted.Find(ctx, subs[0].JobID)
	}
	if fault.KindOf(err) == fault.Unavailable {
		// The job is recorded all the same, and can be asked for later.
		return contract.Job{JobSummary: contract.JobSummary{JobID: subs[0].JobID, Status: verdict.Status}}, nil
	}
	if err != nil {
		return contract.Job{}, err
	}
	return job, faultOf(job)
}

// record has jobs recorded, all or none, and returns the verdict on the first.
func (s *Server) record(ctx context.Context, subs []contract.Submission) (contract.SubmitVerdict, error) {
	if len(subs) == 1 {
		verdict, err := s.deps.Submitter.Submit(ctx, subs[0])
		if err == nil && verdict.Status == contract.StatusAccepted {
			s.keepAccepted(ctx, subs[0])
		}
		return verdict, err
	}
	verdicts, err := s.deps.Submitter.SubmitBatch(ctx, subs)
	if err != nil {
		return contract.SubmitVerdict{}, err
	}
	for i, v := range verdicts {
		if err := refusal(v); err != nil {
			return contract.SubmitVerdict{}, err
		}
		if v.Status == contract.StatusAccepted {
			s.keepAccepted(ctx, subs[i])
		}
	}
	return verdicts[0], nil
}

// faultOf is why a job did not do what it was to do; nil when it did.
func faultOf(job contract.Job) error {
	switch job.Status {
	case contract.StatusFailed:
		if job.ErrorKind == nil || job.ErrorCode == nil || !outsiders(fault.Kind(*job.ErrorKind)) {
			return fault.New(fault.Internal, codeJobFailed, fmt.Sprintf("Job %s failed; its error_text says why.", job.JobID))
		}
		return fault.New(fault.Kind(*job.ErrorKind), *job.ErrorCode, deref(job.ErrorText))
	case contract.StatusCancelled:
		return fault.Conflictf("Job %s was cancelled.", job.JobID)
	case contract.StatusAccepted, contract.StatusQueued, contract.StatusRunning, contract.StatusRetryWait, contract.StatusSucceeded:
	}
	return nil
}

// outsiders reports whether a kind of fault is about what a client asked for, or
// about waiting, and so is the client's to know. A handler's own trouble with who
// it is or how often it asks is not.
func outsiders(k fault.Kind) bool {
	switch k {
	case fault.Invalid, fault.Unprocessable, fault.NotFound, fault.Conflict, fault.TooLarge, fault.Unavailable:
		return true
	case fault.Unauthenticated, fault.Forbidden, fault.RateLimited, fault.Internal:
	}
	return false
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
