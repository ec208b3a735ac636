package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// A version can be taken back: the program starts on a schema that a newer one has
// migrated where that says it may, whoever looks after the schemas, and says how
// things are. On any other it does not start.
func TestGuaranteeAVersionCanBeTakenBack(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpusRoot(t))
	migrate := func() (string, error) {
		out, err := command(t, t.TempDir(), append(env, "NEXUS_LOG_LEVEL=error"), "migrate", "up").CombinedOutput()
		return string(out), err
	}
	out, err := migrate()
	require.NoError(t, err, out)
	require.Equal(t, "The schemas, streams and consumers are up to date.\n", out)

	db := testkit.OpenPostgres(t, database, "")
	for _, statement := range []string{
		`ALTER TABLE jobs.jobs ADD COLUMN colour text`,
		`INSERT INTO jobs.schema_migrations (name, group_id) VALUES ('0998', 99)`,
		`INSERT INTO jobs.schema_compatibility (migration, oldest) SELECT '0998', max(name) FROM jobs.schema_migrations WHERE name < '0998'`,
	} {
		_, err := db.Pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	out, err = migrate()
	require.NoError(t, err, out)
	require.Contains(t, out, "Schema jobs was migrated by a newer Nexus, to 0998; this program knows 0")
	require.NotContains(t, out, "The schemas, streams and consumers are up to date")
	for _, mode := range []string{"auto_create", "migrate_only"} {
		p := launch(t, t.TempDir(), append(env, "NEXUS_SCHEMA_MANAGEMENT_MODE="+mode), "up")
		require.Contains(t, p.log(), "a newer Nexus has migrated this schema")
		_, status := client{t, p.http, operatorKey}.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "sync"})
		require.Equal(t, "succeeded", status, mode)
		p.stop()
	}

	_, err = db.Pool.Exec(t.Context(), `DELETE FROM jobs.schema_compatibility WHERE migration = '0998'`)
	require.NoError(t, err)
	const says = `schema "jobs" has migration 0998, which this program does not know; run a newer Nexus`
	out, err = migrate()
	require.Error(t, err)
	require.Contains(t, out, says)
	require.NotContains(t, out, "up to date")
	for _, mode := range []string{"auto_create", "migrate_only"} {
		out, err := command(t, t.TempDir(), append(env, "NEXUS_SCHEMA_MANAGEMENT_MODE="+mode), "up").CombinedOutput()
		require.Error(t, err, mode)
		require.Contains(t, strings.TrimSpace(string(out)), says, mode)
	}
}
