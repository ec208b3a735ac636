package httpapi

import (
	"sync"
	"time"

	"nexus.internal/libs/contract"
)

const (
	// acceptedFor is how long an accepted job is remembered. By then it is
	// recorded, or the recorder has been away for as long.
	acceptedFor = 10 * time.Minute
	// maxAccepted bounds the memory of it.
	maxAccepted = 10_000
)

// accepted remembers jobs the broker has and the recorder has not confirmed
// yet, so that reading them back answers `accepted` instead of 404.
type accepted struct {
	now  func() time.Time
	mu   sync.Mutex
	jobs map[string]acceptedJob
}

type acceptedJob struct {
	submission contract.Submission
	at         time.Time
}

func newAccepted(now func() time.Time) *accepted {
	return &accepted{now: now, jobs: map[string]acceptedJob{}}
}

func (a *accepted) add(sub contract.Submission) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.jobs) >= maxAccepted {
		for id, j := range a.jobs {
			if a.now().Sub(j.at) > acceptedFor {
				delete(a.jobs, id)
			}
		}
	}
	if len(a.jobs) < maxAccepted {
		a.jobs[sub.JobID] = acceptedJob{sub, a.now()}
	}
}

func (a *accepted) get(id string) (contract.Job, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	j, ok := a.jobs[id]
	if !ok || a.now().Sub(j.at) > acceptedFor {
		return contract.Job{}, false
	}
	sub := j.submission
	job := contract.Job{
		JobSummary: contract.JobSummary{
			JobID: sub.JobID, JobType: sub.JobType, Status: contract.StatusAccepted, ExecutionMode: sub.ExecutionMode,
			MaxAttempts: sub.MaxAttempts, CreatedAt: j.at.UTC(), UpdatedAt: j.at.UTC(),
		},
		Payload: sub.Payload, CreatedBy: sub.CreatedBy, Attempts: []contract.Attempt{}, Artifacts: []contract.CreatedArtifact{},
	}
	if sub.IdempotencyKey != "" {
		job.IdempotencyKey = &sub.IdempotencyKey
	}
	return job, true
}
