package store

import (
	"context"
	"fmt"
	"time"

	"nexus.internal/libs/pg"
)

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
