package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
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
	out, err := s.submitJob(ctx, &submitInput{Body: submitBody{JobType: jobType, Payload: data, ExecutionMode: string(contract.ModeSync)}})
	if err != nil {
		return contract.Job{}, err
	}
	if !out.Body.Status.Finished() {
		return contract.Job{JobSummary: contract.JobSummary{JobID: out.Body.JobID, JobType: jobType, Status: out.Body.Status}}, nil
	}
	job, err := bus.Call[contract.Job](ctx, s.deps.NC, contract.RPCJobsGet, contract.JobRequest{JobID: out.Body.JobID})
	if err != nil {
		return contract.Job{}, err
	}
	return job, faultOf(job)
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
