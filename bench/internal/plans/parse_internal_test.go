package plans

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const log = `2026-01-01 00:00:00.000 UTC [1] LOG:  database system is ready to accept connections
2026-01-01 00:00:01.000 UTC [2] LOG:  duration: 1.500 ms  plan:
	Query Text: SELECT id
			FROM jobs.jobs WHERE status = $1
	Limit  (cost=0.43..8.45 rows=100 width=16) (actual time=0.020..1.400 rows=7 loops=1)
	  Buffers: shared hit=4
2026-01-01 00:00:02.000 UTC [2] LOG:  duration: 0.500 ms  plan:
	Query Text: UPDATE jobs.jobs SET status = $1
	Update on jobs  (cost=0.43..8.45 rows=0 width=0) (actual time=0.020..0.020 rows=0 loops=1)
2026-01-01 00:00:03.000 UTC [2] LOG:  duration: 0.500 ms  plan:
	Query Text: SELECT name FROM jobs.job_types
	Seq Scan on job_types  (cost=0.00..1.00 rows=4 width=8) (actual time=0.020..0.020 rows=4 loops=1)
2026-01-01 00:00:04.000 UTC [2] LOG:  checkpoint starting: time
2026-01-01 00:00:05.000 UTC [2] LOG:  duration: 0.500 ms  plan:
	Query Text: SELECT count(*) FROM jobs.claims
	Seq Scan on claims  (cost=0.00..1.00 rows=4 width=8) (never executed)
`

func TestPlansOfTheStatementsThatReadJobs(t *testing.T) {
	t.Parallel()
	all := parse(log)
	require.Len(t, all, 4)
	found := readers(all)
	require.Len(t, found, 2)
	require.Equal(t, "SELECT id FROM jobs.jobs WHERE status = $1", found[0].Statement)
	require.Equal(t, "Limit  (rows: 7 of about 100, loops: 1, until 1.400 ms)\n  Buffers: shared hit=4\n", found[0].Short(100))
	require.Equal(t, "Limit…\n  Buf…\n", found[0].Short(6))
	require.Equal(t, "SELECT count(*) FROM jobs.claims", found[1].Statement)
	require.Empty(t, parse("nothing of the kind\n"))
}
