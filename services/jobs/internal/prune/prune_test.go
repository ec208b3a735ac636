package prune_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/jobs/internal/prune"
	"nexus.internal/services/jobs/internal/store"
)

type silent struct{}

func (silent) Publish(context.Context, ...bus.Message) error { return nil }

// said passes on what the pruner logs: how many jobs of which state it deleted.
type said struct {
	ch chan pruned
}

type pruned struct {
	Jobs    int    `json:"jobs"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (s *said) Write(b []byte) (int, error) {
	var p pruned
	if err := json.Unmarshal(b, &p); err != nil {
		return 0, err
	}
	s.ch <- p
	return len(b), nil
}

// group is jobs alike: so many in a state, made and ended so many hours ago.
type group struct {
	name        string
	jobs        int
	status      contract.Status
	made, ended int
	stays       bool
}

// fill makes the jobs of a group, with all that belongs to a job.
func fill(t *testing.T, db *pg.DB, g group) {
	t.Helper()
	columns := map[contract.Status]string{
		contract.StatusQueued: `next_run_at = now()`, contract.StatusRetryWait: `next_run_at = now()`,
		contract.StatusRunning: `next_run_at = NULL, lease_owner = 'w', lease_token = gen_random_uuid(), lease_expires_at = now(), started_at = now()`,
	}[g.status]
	if g.status.Finished() {
		columns = `next_run_at = NULL, finished_at = now() - make_interval(hours => $3)`
	} else {
		columns += `, updated_at = now() - make_interval(hours => $3)`
	}
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.jobs (id, created_at, max_attempts, timeout_seconds, status, next_run_at, job_type, execution_mode, created_by)
		SELECT gen_random_uuid(), now() - make_interval(hours => $3) + i * interval '1 microsecond', 3, 30, 'queued', now(), 'analyze', 'async', $2
		FROM generate_series(1, $1::int) AS i`, g.jobs, g.name, g.made)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET status = $1, attempt_count = 1, `+columns+` WHERE created_by = $2`,
		string(g.status), g.name, g.ended)
	require.NoError(t, err)
	for _, more := range []string{
		`INSERT INTO jobs.job_inputs (job_id, payload) SELECT id, '{}' FROM jobs.jobs WHERE created_by = $1`,
		`INSERT INTO jobs.job_artifacts (job_id, artifact_type) SELECT id, 'a' FROM jobs.jobs WHERE created_by = $1`,
		`INSERT INTO jobs.job_attempts (job_id, version, attempt_number, status, worker, runtime_ms, started_at, finished_at)
			SELECT id, 2, 1, 'failed', 'w', 1, now(), now() FROM jobs.jobs WHERE created_by = $1`,
	} {
		_, err = db.Pool.Exec(t.Context(), more, g.name)
		require.NoError(t, err)
	}
}

func TestPrunerForgetsFinishedJobsByAgeAndState(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	groups := []group{
		{"old successes", 1203, contract.StatusSucceeded, 60, 50, false},
		{"successes that took long", 30, contract.StatusSucceeded, 60, 5, true},
		{"young successes", 30, contract.StatusSucceeded, 5, 5, true},
		{"old failures", 40, contract.StatusFailed, 200, 190, false},
		{"failures kept for longer than successes", 30, contract.StatusFailed, 60, 50, true},
		{"old cancelled ones, kept for ever", 30, contract.StatusCancelled, 900, 900, true},
		{"old queued ones", 30, contract.StatusQueued, 900, 900, true},
		{"old running ones", 30, contract.StatusRunning, 900, 900, true},
		{"old waiting ones", 30, contract.StatusRetryWait, 900, 900, true},
	}
	for _, g := range groups {
		fill(t, db, g)
	}
	for _, statement := range []string{
		// What each statement of the pruner deletes.
		`CREATE TABLE steps (n bigint NOT NULL)`,
		`GRANT ALL ON steps TO PUBLIC`,
		`CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.steps SELECT count(*) FROM gone; RETURN NULL; END $$`,
		`CREATE TRIGGER note_step AFTER DELETE ON jobs.jobs REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_step()`,
		`INSERT INTO jobs.workers (name, queue, job_types, in_flight, started_at, heartbeat_at) VALUES
			('gone', 'plugins', '{analyze}', 0, now() - interval '50 hours', now() - interval '25 hours'),
			('live', 'plugins', '{analyze}', 0, now() - interval '50 hours', now() - interval '23 hours')`,
		`INSERT INTO jobs.command_parts (command_id, part, parts, body, created_at) VALUES
			(gen_random_uuid(), 0, 2, 'x', now() - interval '61 minutes'), (gen_random_uuid(), 1, 2, 'y', now() - interval '59 minutes')`,
	} {
		_, err := db.Pool.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}

	told := &said{ch: make(chan pruned, 100)}
	st := store.New(db, outbox.New(db, "jobs", silent{}, zerolog.Nop()), time.Now)
	stop := testkit.Start(t, prune.New(st, map[contract.Status]time.Duration{
		contract.StatusSucceeded: 48 * time.Hour, contract.StatusFailed: 96 * time.Hour,
	}, zerolog.New(told)))
	got := map[string]int{}
	for range 2 {
		p := testkit.Receive(t, told.ch)
		require.Equal(t, "pruned old jobs", p.Message)
		got[p.Status] = p.Jobs
	}
	require.Equal(t, map[string]int{"succeeded": 1203, "failed": 40}, got)
	stop()
	require.Empty(t, told.ch)

	left := 0
	for _, g := range groups {
		var n int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs WHERE created_by = $1`, g.name).Scan(&n))
		want := 0
		if g.stays {
			want = g.jobs
		}
		require.Equal(t, want, n, g.name)
		left += want
	}
	for _, table := range []string{"job_inputs", "job_artifacts", "job_attempts"} {
		var n int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.`+table).Scan(&n))
		require.Equal(t, left, n, table)
	}
	var steps, most, sum int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*), max(n), sum(n) FROM steps`).Scan(&steps, &most, &sum))
	require.Equal(t, 1243, sum)
	require.LessOrEqual(t, most, store.PruneBatch)
	require.GreaterOrEqual(t, steps, 4, "in steps, not at once")

	var worker string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT string_agg(name, ' ') FROM jobs.workers`).Scan(&worker))
	require.Equal(t, "live", worker, "a worker that is gone is forgotten after a day")
	var part int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT string_agg(part::text, ' ')::int FROM jobs.command_parts`).Scan(&part))
	require.Equal(t, 1, part, "the rest of a command is waited for, for an hour")
}

// Without a time to keep them for, nothing is deleted.
func TestPrunerKeepsEverythingByDefault(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	st := store.New(db, outbox.New(db, "jobs", silent{}, zerolog.Nop()), time.Now)
	for _, status := range contract.Statuses() {
		fill(t, db, group{name: string(status), jobs: 3, status: status, made: 10_000, ended: 9_000})
	}
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.command_parts (command_id, part, parts, body, created_at) VALUES ($1, 0, 2, 'x', now() - interval '2 hours')`, uuid.New())
	require.NoError(t, err)
	stop := testkit.Start(t, prune.New(st, nil, zerolog.Nop()))
	testkit.Eventually(t, func() bool {
		var n int
		return db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.command_parts`).Scan(&n) == nil && n == 0
	}, "the pass did not come")
	stop()
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs`).Scan(&n))
	require.Equal(t, 3*len(contract.Statuses()), n)
}
