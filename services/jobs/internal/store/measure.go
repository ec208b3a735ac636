package store

import (
	"context"
	"fmt"
	"time"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/pg"
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

// recorded counts jobs that are new, by their type.
func (m *measures) recorded(fresh []freshJob) {
	byType := map[string]int{}
	for i := range fresh {
		byType[fresh[i].JobType]++
	}
	for t, n := range byType {
		m.submitted.Add(n, t)
	}
}

// begun counts runs that begin.
func (m *measures) begun(jobs []changed) {
	byType := map[string]int{}
	for i := range jobs {
		byType[jobs[i].JobType]++
		// The first change after the one that recorded it.
		if jobs[i].Version == firstRun {
			m.delays.Record(jobs[i].waited, jobs[i].JobType)
		}
	}
	for t, n := range byType {
		m.started.Add(n, t)
	}
}

// leaseExpiredOutcome is what the end of a run is called that nobody reported.
const leaseExpiredOutcome = "lease_expired"

// ended counts runs and jobs that end; expired says that nobody reported them.
func (m *measures) ended(jobs []changed, expired bool) {
	type kind struct{ jobType, outcome string }
	runs, finished := map[kind]int{}, map[kind]int{}
	retries, recoveries := map[string]int{}, map[string]int{}
	for i := range jobs {
		j := &jobs[i]
		if j.ranBefore {
			outcome := outcomeOf(j.Event)
			if expired {
				outcome = leaseExpiredOutcome
				recoveries[j.JobType]++
			}
			runs[kind{j.JobType, outcome}]++
			if j.Event == job.Retry {
				retries[j.JobType]++
			}
		}
		if contract.Status(j.Status).Finished() {
			finished[kind{j.JobType, j.Status}]++
			if j.ranBefore {
				m.runs.Record(j.ran, j.JobType)
			}
		}
	}
	for k, n := range runs {
		m.attempts.Add(n, k.jobType, k.outcome)
	}
	for k, n := range finished {
		m.finished.Add(n, k.jobType, k.outcome)
	}
	for t, n := range retries {
		m.retries.Add(n, t)
	}
	for t, n := range recoveries {
		m.recoveries.Add(n, t)
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

// Live is how many jobs of a type are at work or wait.
type Live struct {
	JobType                    string
	Queued, Running, RetryWait int64
	// Oldest is for how long the oldest job that may start has not been started.
	Oldest time.Duration
}

const (
	// countAll is how many jobs at work are counted one by one; of more, a sample is.
	countAll = 20_000
	// shares is in how many parts jobs are divided for a sample.
	shares = 1024
	// leastShares is the smallest sample.
	leastShares = 4
)

// liveSample are the jobs that may be queued or running, in the first of the shares.
// A job is in the same share wherever it is found.
const liveSample = `SELECT id FROM (SELECT unnest(job_ids) AS id FROM jobs.dispatches UNION ALL SELECT unnest(job_ids) FROM jobs.claims) AS g
		WHERE uuid_hash(id) & 1023 < $1
	UNION SELECT id FROM jobs.jobs WHERE due_at IS NOT NULL AND uuid_hash(id) & 1023 < $1`

// Live counts the jobs that are not finished, by their type. Where there are more than
// some ten thousand it counts a sample of them.
func (s *Store) Live(ctx context.Context) ([]Live, error) {
	var out []Live
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		out = nil
		var about int64
		err := tx.QueryRow(ctx, `SELECT (SELECT coalesce(sum(cardinality(job_ids)), 0) FROM (SELECT job_ids FROM jobs.dispatches UNION ALL SELECT job_ids FROM jobs.claims) AS g)
			+ (SELECT count(*) FROM (SELECT FROM jobs.jobs WHERE due_at IS NOT NULL LIMIT 1000000) AS due)`).Scan(&about)
		if err != nil {
			return err
		}
		share := int64(shares)
		if about > countAll {
			share = max(leastShares, countAll*shares/about)
		}
		rows, err := tx.Query(ctx, `SELECT job_type, count(*) FILTER (WHERE status = 'queued'), count(*) FILTER (WHERE status = 'running'), count(*) FILTER (WHERE status = 'retry_wait'),
				greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(next_run_at) FILTER (WHERE status <> 'running')), 0))::float8
			FROM jobs.jobs WHERE id = ANY(ARRAY(`+liveSample+`)) AND status IN ('queued', 'running', 'retry_wait') GROUP BY job_type`, share)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l Live
			var oldest float64
			if err := rows.Scan(&l.JobType, &l.Queued, &l.Running, &l.RetryWait, &oldest); err != nil {
				return err
			}
			l.Queued, l.Running, l.RetryWait = l.Queued*shares/share, l.Running*shares/share, l.RetryWait*shares/share
			l.Oldest = time.Duration(oldest * float64(time.Second))
			out = append(out, l)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("count the jobs at work: %w", err)
	}
	return out, nil
}
