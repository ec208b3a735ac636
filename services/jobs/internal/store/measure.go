package store

import (
	"time"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/metrics"
	"nexus.internal/services/jobs/internal/job"
)

// measures count what was committed.
type measures struct {
	submitted, started, finished, attempts, retries, recoveries, redispatched *metrics.Counter
	delays, runs, sizes, durations                                            *metrics.Histogram
}

// Measure counts from now on.
func (s *Store) Measure(set *metrics.Set) {
	s.measures = measures{
		submitted: set.Counter(metrics.JobsSubmitted), started: set.Counter(metrics.JobsStarted), finished: set.Counter(metrics.JobsFinished),
		attempts: set.Counter(metrics.JobsAttempts), retries: set.Counter(metrics.JobsRetries), recoveries: set.Counter(metrics.JobsRecoveries),
		redispatched: set.Counter(metrics.JobsRedispatched),
		delays:       set.Histogram(metrics.JobsStartDelay), runs: set.Histogram(metrics.JobsRunDuration),
		sizes: set.Histogram(metrics.BatchSize), durations: set.Histogram(metrics.BatchDuration),
	}
}

// Expect begins to count jobs of a type of a queue.
func (s *Store) Expect(jobType, queue string) {
	m := &s.measures
	for _, c := range []*metrics.Counter{m.submitted, m.started, m.retries, m.recoveries} {
		c.Expect(jobType)
	}
	for _, outcome := range []contract.Status{contract.StatusSucceeded, contract.StatusFailed, contract.StatusCancelled} {
		m.finished.Expect(jobType, string(outcome))
	}
	for _, outcome := range []string{outcomeOf(job.Succeed), outcomeOf(job.Exhaust), leaseExpiredOutcome} {
		m.attempts.Expect(jobType, outcome)
	}
	m.redispatched.Expect(queue)
}

// Names of what is done with many jobs at once.
const (
	opRecord = "record"
	opClaim  = "claim"
	opFinish = "finish"
)

// batch measures a transaction of n jobs that began at start.
func (m *measures) batch(op string, n int, start time.Time) {
	m.sizes.Record(float64(n), op)
	m.durations.Since(start, op)
}

// leaseExpiredOutcome is what the end of a run is called that nobody reported.
const leaseExpiredOutcome = "lease_expired"

// series is a counter with the labels of one of its values. The outcome is empty where
// the counter has none.
type series struct {
	of               *metrics.Counter
	jobType, outcome string
}

func (s series) add(n int) {
	if s.outcome == "" {
		s.of.Add(n, s.jobType)
	} else {
		s.of.Add(n, s.jobType, s.outcome)
	}
}

// changed counts what happened to jobs.
func (m *measures) changed(jobs []changed) {
	counts := map[series]int{}
	for i := range jobs {
		j := &jobs[i]
		switch j.Event {
		case "":
			counts[series{of: m.submitted, jobType: j.JobType}]++
		case job.Claim:
			counts[series{of: m.started, jobType: j.JobType}]++
			if j.Version == firstRun {
				m.delays.Record(j.waited, j.JobType)
			}
		default:
			m.stopped(j, counts)
		}
	}
	for s, n := range counts {
		s.add(n)
	}
}

// stopped counts the end of a run, and that of the job if it is finished.
func (m *measures) stopped(j *changed, counts map[series]int) {
	if j.ranBefore {
		outcome := outcomeOf(j.Event)
		if j.Recovered {
			outcome = leaseExpiredOutcome
			counts[series{of: m.recoveries, jobType: j.JobType}]++
		}
		counts[series{m.attempts, j.JobType, outcome}]++
		if j.Event == job.Retry {
			counts[series{of: m.retries, jobType: j.JobType}]++
		}
	}
	if contract.Status(j.Status).Finished() {
		counts[series{m.finished, j.JobType, j.Status}]++
		if j.ranBefore {
			m.runs.Record(j.ran, j.JobType)
		}
	}
}

// outcomeOf is what the end of a run is called.
func outcomeOf(e job.Event) string {
	switch e {
	case job.Succeed:
		return "succeeded"
	case job.Release:
		return "released"
	case job.Snooze:
		return "snoozed"
	case job.Defer:
		return "deferred"
	case job.Cancel:
		return "cancelled"
	default:
		return "failed"
	}
}
