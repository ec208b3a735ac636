package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// A job that the broker has and nobody has recorded yet is known to every gateway,
// not only to the one that accepted it.
func TestAcceptedJobIsKnownToEveryGateway(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	p := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database), "up")
	other := launch(t, t.TempDir(), append(freePorts(), "NEXUS_NATS_URL="+p.nats, "NEXUS_NATS_KEYS_DIR="+dir+"/keys", "NEXUS_DATA_DIR="+dir,
		"NEXUS_SCHEMA_MANAGEMENT_MODE=migrate_only"), "gateway")
	here, there := client{t, p.http, operatorKey}, client{t, other.http, viewerKey}

	// Jobs can be read and not written.
	db := testkit.OpenPostgres(t, database, "")
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE jobs.jobs IN SHARE MODE`)
	require.NoError(t, err)
	status, answer, _ := here.call(http.MethodPost, "/api/v1/jobs/submit", map[string]any{"job_type": "integrity_audit"})
	require.Equal(t, http.StatusAccepted, status, "%v", answer)
	id := answer["job_id"].(string)
	for _, c := range []client{here, there} {
		job := c.get("/api/v1/jobs/" + id)
		require.Equal(t, "accepted", job["status"])
		require.Equal(t, "dev-operator", job["created_by"])
	}
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, "succeeded", there.finished(id)["status"])
}
