package testkit_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

func empty(t *testing.T) *pg.DB {
	t.Helper()
	return testkit.OpenPostgres(t, testkit.EmptyDatabase(t), "")
}

func up(t *testing.T, db *pg.DB) {
	t.Helper()
	require.NoError(t, migrations.Up(t.Context(), db.Bun, migrations.Schemas()...))
}

// schemas lists what the database holds besides what every database has.
func schemas(t *testing.T, db *pg.DB) []string {
	t.Helper()
	var out []string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT coalesce(array_agg(nspname::text ORDER BY nspname), '{}') FROM pg_namespace
		WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('public', 'information_schema')`).Scan(&out))
	return out
}

// applied counts the recorded migrations of each schema.
func applied(t *testing.T, db *pg.DB) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, schema := range migrations.Schemas() {
		var n int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM `+schema+`.schema_migrations`).Scan(&n))
		out[schema] = n
	}
	return out
}

func TestUpDownAndUpAgain(t *testing.T) {
	t.Parallel()
	db := empty(t)
	want := slices.Sorted(slices.Values(migrations.Schemas()))
	var first map[string]int
	for round := range 2 {
		up(t, db)
		require.Equal(t, want, schemas(t, db))
		for _, schema := range migrations.Schemas() {
			require.NoError(t, migrations.Check(t.Context(), db.Bun, schema))
			version, err := migrations.Version(t.Context(), db.Bun, schema)
			require.NoError(t, err)
			require.Regexp(t, `^\d{4}`, version, schema)
		}
		if round == 0 {
			first = applied(t, db)
		}
		require.Equal(t, first, applied(t, db))
		require.NoError(t, migrations.Down(t.Context(), db.Bun, migrations.Schemas()...))
		require.Empty(t, schemas(t, db), "nothing is left behind")
	}
}

// A pool may be as small as that, so that the lock and the work share one connection.
func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	db, err := pg.Open(t.Context(), pg.Options{Config: pg.Config{PoolSize: 1, RecycleSeconds: 60, PrePing: true}, URL: testkit.EmptyDatabase(t)})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		require.NoError(t, migrations.Up(ctx, db.Bun, migrations.Schemas()...))
		for _, schema := range migrations.Schemas() {
			require.NoError(t, migrations.Check(ctx, db.Bun, schema))
		}
		newer, err := migrations.Newer(ctx, db.Bun, migrations.Schemas()...)
		require.NoError(t, err)
		require.Empty(t, newer)
		require.NoError(t, migrations.Down(ctx, db.Bun, migrations.Schemas()...))
	}
	var held int
	require.NoError(t, db.Pool.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`).Scan(&held))
	require.Zero(t, held, "the connection goes back without the lock")
}

// Whoever loses the connection that holds the lock must not go on beside the next one.
func TestTheLockAndTheWorkEndTogether(t *testing.T) {
	t.Parallel()
	db := empty(t)
	up(t, db)
	require.NoError(t, migrations.Down(t.Context(), db.Bun, "webhooks"))
	// The migration waits for this transaction with the lock held.
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `CREATE SCHEMA webhooks`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- migrations.Up(t.Context(), db.Bun, "webhooks") }()
	var ended bool
	testkit.Eventually(t, func() bool {
		err := db.Pool.QueryRow(t.Context(), `SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'
				AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)`).Scan(&ended)
		return err == nil && ended
	}, "the connection with the lock is the one that works")
	require.Error(t, testkit.Receive(t, done))
	require.NoError(t, tx.Rollback(t.Context()))
	up(t, db)
}

func TestUpAgainChangesNothing(t *testing.T) {
	t.Parallel()
	db := empty(t)
	up(t, db)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO auth.api_keys (id, owner, key_hash, role) VALUES (gen_random_uuid(), 'alice', repeat('a', 64), 'viewer')`)
	require.NoError(t, err)
	before := applied(t, db)
	up(t, db)
	require.Equal(t, before, applied(t, db))
	var keys int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM auth.api_keys`).Scan(&keys))
	require.Equal(t, 1, keys)
}

func TestProcessesThatMigrateAtOnce(t *testing.T) {
	t.Parallel()
	databaseURL := testkit.EmptyDatabase(t)
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		db := testkit.OpenPostgres(t, databaseURL, "")
		wg.Go(func() { errs[i] = migrations.Up(t.Context(), db.Bun, migrations.Schemas()...) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	db := testkit.OpenPostgres(t, databaseURL, "")
	for schema, n := range applied(t, db) {
		var distinct int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(DISTINCT name) FROM `+schema+`.schema_migrations`).Scan(&distinct))
		require.Equal(t, distinct, n, "%s: a migration was applied twice", schema)
		require.NoError(t, migrations.Check(t.Context(), db.Bun, schema))
	}
}

// Two databases of one server share its roles.
func TestDatabasesThatMigrateAtOnce(t *testing.T) {
	t.Parallel()
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		db := empty(t)
		wg.Go(func() { errs[i] = migrations.Up(t.Context(), db.Bun, migrations.Schemas()...) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestCheckSaysWhatToDo(t *testing.T) {
	t.Parallel()
	db := empty(t)
	const unfit = "the database schema does not fit this version of Nexus: "
	check := func(schema, says string) {
		t.Helper()
		err := migrations.Check(t.Context(), db.Bun, schema)
		require.ErrorIs(t, err, migrations.ErrVersion)
		require.EqualError(t, err, unfit+says)
	}
	check("jobs", "schema \"jobs\" is missing; run `nexus migrate up`")
	up(t, db)

	version, err := migrations.Version(t.Context(), db.Bun, "jobs")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO jobs.schema_migrations (name, group_id) VALUES ('0999', 9)`)
	require.NoError(t, err)
	check("jobs", `schema "jobs" has migration 0999, which this program does not know; run a newer Nexus`)
	newest, err := migrations.Version(t.Context(), db.Bun, "jobs")
	require.NoError(t, err)
	require.Equal(t, "0999", newest)

	_, err = db.Pool.Exec(t.Context(), `DELETE FROM jobs.schema_migrations WHERE name = $1`, version)
	require.NoError(t, err)
	check("jobs", "schema \"jobs\" lacks migration "+version+"; run `nexus migrate up`")
	require.NoError(t, migrations.Check(t.Context(), db.Bun, "audit"), "each schema is its own")

	_, err = db.Pool.Exec(t.Context(), `DROP TABLE jobs.schema_migrations`)
	require.NoError(t, err)
	check("jobs", "schema \"jobs\" is missing; run `nexus migrate up`")
}

// migratedByNewer leaves a schema as a newer program would that has one migration
// more, and what that says of older programs; empty where it says nothing.
func migratedByNewer(t *testing.T, db *pg.DB, schema, name, oldest string) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO `+schema+`.schema_migrations (name, group_id) VALUES ($1, 9)`, name)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `ALTER TABLE `+schema+`.outbox ADD COLUMN of_`+name+` text`)
	require.NoError(t, err)
	if oldest != "" {
		_, err = db.Pool.Exec(t.Context(), `INSERT INTO `+schema+`.schema_compatibility (migration, oldest) VALUES ($1, $2)`, name, oldest)
		require.NoError(t, err)
	}
}

// A program goes on with a schema that a newer one has migrated, where that says
// it may, and leaves it as it is.
func TestANewerSchemaThatIsCompatible(t *testing.T) {
	t.Parallel()
	db := empty(t)
	up(t, db)
	mine, err := migrations.Version(t.Context(), db.Bun, "jobs")
	require.NoError(t, err)
	newer, err := migrations.Newer(t.Context(), db.Bun, migrations.Schemas()...)
	require.NoError(t, err)
	require.Empty(t, newer)

	migratedByNewer(t, db, "jobs", "0998", mine)
	before := applied(t, db)
	require.NoError(t, migrations.Check(t.Context(), db.Bun, "jobs"))
	up(t, db)
	require.Equal(t, before, applied(t, db))
	newer, err = migrations.Newer(t.Context(), db.Bun, migrations.Schemas()...)
	require.NoError(t, err)
	require.Equal(t, []migrations.Ahead{{Schema: "jobs", Migration: "0998", Known: mine}}, newer)
	err = migrations.Down(t.Context(), db.Bun, migrations.Schemas()...)
	require.ErrorIs(t, err, migrations.ErrVersion)
	require.ErrorContains(t, err, `schema "jobs" has migration 0998, which this program does not know; remove it with a newer Nexus`)
	require.Equal(t, before, applied(t, db), "nothing was removed")

	// The version after that contracts: only the one before may run on it.
	migratedByNewer(t, db, "jobs", "0999", "0998")
	err = migrations.Check(t.Context(), db.Bun, "jobs")
	require.ErrorIs(t, err, migrations.ErrVersion)
	require.ErrorContains(t, err, `schema "jobs" has migration 0999, which is for programs that know migration 0998 at least; this one knows `+mine+`; run a newer Nexus`)
}

// What a newer program has left behind without a word about older ones is refused,
// by whoever migrates as well, and before anything is changed.
func TestANewerSchemaThatIsNotCompatible(t *testing.T) {
	t.Parallel()
	db := empty(t)
	require.NoError(t, migrations.Up(t.Context(), db.Bun, "jobs"))
	migratedByNewer(t, db, "jobs", "0998", "")
	const says = `schema "jobs" has migration 0998, which this program does not know; run a newer Nexus`
	require.ErrorContains(t, migrations.Check(t.Context(), db.Bun, "jobs"), says)
	err := migrations.Up(t.Context(), db.Bun, migrations.Schemas()...)
	require.ErrorIs(t, err, migrations.ErrVersion)
	require.ErrorContains(t, err, says)
	require.Equal(t, []string{"jobs"}, schemas(t, db), "no other schema was begun")

	_, err = db.Pool.Exec(t.Context(), `DROP TABLE jobs.schema_compatibility`)
	require.NoError(t, err)
	require.ErrorContains(t, migrations.Check(t.Context(), db.Bun, "jobs"), says, "nothing says that it is compatible")
}

// Two programs that each have a migration of their own are not one after the other.
func TestMigrationsThatParted(t *testing.T) {
	t.Parallel()
	db := empty(t)
	up(t, db)
	mine, err := migrations.Version(t.Context(), db.Bun, "jobs")
	require.NoError(t, err)
	migratedByNewer(t, db, "jobs", "0998", "0001")
	_, err = db.Pool.Exec(t.Context(), `DELETE FROM jobs.schema_migrations WHERE name = $1`, mine)
	require.NoError(t, err)
	for _, err := range []error{migrations.Check(t.Context(), db.Bun, "jobs"), migrations.Up(t.Context(), db.Bun, "jobs")} {
		require.ErrorIs(t, err, migrations.ErrVersion)
		require.ErrorContains(t, err, `schema "jobs" lacks migration `+mine)
	}
}

// What the migrations of this program say is written down for older ones, also
// where the process that migrated died before it could.
func TestOlderProgramsAreTold(t *testing.T) {
	t.Parallel()
	db := empty(t)
	for range 2 {
		up(t, db)
		var oldest string
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT oldest FROM jobs.schema_compatibility WHERE migration = '0006'`).Scan(&oldest))
		require.Equal(t, "0005", oldest)
		_, err := db.Pool.Exec(t.Context(), `DROP TABLE jobs.schema_compatibility`)
		require.NoError(t, err)
	}
}

func TestOneSchemaAtATime(t *testing.T) {
	t.Parallel()
	db := empty(t)
	require.NoError(t, migrations.Up(t.Context(), db.Bun, "audit"))
	require.Equal(t, []string{"audit"}, schemas(t, db))
	require.NoError(t, migrations.Check(t.Context(), db.Bun, "audit"))
	require.ErrorIs(t, migrations.Check(t.Context(), db.Bun, "jobs"), migrations.ErrVersion)
	require.NoError(t, migrations.Up(t.Context(), db.Bun, "jobs", "audit"))
	require.NoError(t, migrations.Down(t.Context(), db.Bun, "audit"))
	require.Equal(t, []string{"jobs"}, schemas(t, db))
	require.NoError(t, migrations.Check(t.Context(), db.Bun, "jobs"))
}

func TestDownRemovesNothingItDoesNotKnow(t *testing.T) {
	t.Parallel()
	db := empty(t)
	up(t, db)
	_, err := db.Pool.Exec(t.Context(), `CREATE TABLE auth.precious (id int)`)
	require.NoError(t, err)
	require.ErrorContains(t, migrations.Down(t.Context(), db.Bun, "auth"), "drop schema auth")
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM auth.precious`).Scan(&n))
}

func TestTroubleIsNamedAndLeavesNoLock(t *testing.T) {
	t.Parallel()
	db := empty(t)
	require.ErrorContains(t, migrations.Up(t.Context(), db.Bun, "nowhere"), "read the migrations of nowhere")
	require.ErrorContains(t, migrations.Down(t.Context(), db.Bun, "nowhere"), "read the migrations of nowhere")
	require.ErrorContains(t, migrations.Check(t.Context(), db.Bun, "nowhere"), "read the migrations of nowhere")
	_, err := migrations.Version(t.Context(), db.Bun, "nowhere")
	require.ErrorContains(t, err, "read the migrations of nowhere")
	require.ErrorContains(t, migrations.Down(t.Context(), db.Bun, "auth"), "roll back schema auth")
	_, err = migrations.Version(t.Context(), db.Bun, "auth")
	require.ErrorContains(t, err, "read the version of schema auth")

	_, err = db.Pool.Exec(t.Context(), `CREATE SCHEMA auth; CREATE TABLE auth.api_keys (id int)`)
	require.NoError(t, err)
	require.ErrorContains(t, migrations.Up(t.Context(), db.Bun, "auth"), "migrate schema auth")
	require.ErrorIs(t, migrations.Check(t.Context(), db.Bun, "auth"), migrations.ErrVersion, "a migration that failed does not count")
	_, err = db.Pool.Exec(t.Context(), `DROP TABLE auth.api_keys`)
	require.NoError(t, err)
	up(t, db)
	require.NoError(t, migrations.Check(t.Context(), db.Bun, "auth"), "it is tried again")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, migrations.Up(ctx, db.Bun, "auth"), context.Canceled)
	require.ErrorIs(t, migrations.Check(ctx, db.Bun, "auth"), context.Canceled)
	up(t, db)
}

func TestWhoMayMigrate(t *testing.T) {
	t.Parallel()
	databaseURL := testkit.PostgresURL(t)
	for _, schema := range migrations.Schemas() {
		db := testkit.OpenPostgres(t, databaseURL, migrations.Role(schema))
		require.NoError(t, migrations.Check(t.Context(), db.Bun, schema), "a service looks at its version at start")
		require.Error(t, migrations.Up(t.Context(), db.Bun, schema), schema)
		require.Error(t, migrations.Down(t.Context(), db.Bun, schema), schema)
		require.NoError(t, migrations.Check(t.Context(), db.Bun, schema))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"auth", "jobs", "corpus", "plugins", "audit", "webhooks"}, migrations.Schemas())
	roles := map[string]bool{}
	for _, schema := range migrations.Schemas() {
		roles[migrations.Role(schema)] = true
	}
	require.Equal(t, []string{"nexus_audit", "nexus_auth", "nexus_corpus", "nexus_jobs", "nexus_plugins", "nexus_webhooks"}, slices.Sorted(maps.Keys(roles)))
}
