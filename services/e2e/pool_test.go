package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

// Every service has one connection to the database: whoever asked for a second one
// while holding it would wait for ever.
func TestPoolsOfOneConnection(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	p := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpusRoot(t),
		"NEXUS_DB_POOL_SIZE=1", "NEXUS_DB_MAX_OVERFLOW=0"), "up")
	for _, schema := range migrations.Schemas() {
		require.Regexp(t, fmt.Sprintf(`"role":"%s","pool":\{"size":1,"max_overflow":0,"recycle_seconds":3600,"pre_ping":true\}`, migrations.Role(schema)), p.log())
	}
	c := client{t, p.http, adminKey}
	_, status := c.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "sync"})
	require.Equal(t, "succeeded", status)
	document := c.get("/api/v1/documents?limit=1")["documents"].([]any)[0].(map[string]any)["id"]

	var ids sync.Map
	var refused atomic.Int64
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for range 10 {
				code, answer, _ := c.call(http.MethodPost, "/api/v1/jobs/submit", map[string]any{"job_type": "analyze", "payload": map[string]any{"document_id": document}})
				if !assert.Equal(t, http.StatusOK, code, "%v", answer) {
					return
				}
				ids.Store(answer["job_id"], true)
				for _, path := range []string{"/api/v1/jobs?limit=20", "/api/v1/documents?limit=20", "/api/v1/audit/logs?limit=20", "/api/v1/webhooks", "/readyz"} {
					if code, answer, _ := c.call(http.MethodGet, path, nil); code != http.StatusOK {
						refused.Add(1)
						t.Logf("%s: %d %v", path, code, answer)
					}
				}
			}
		})
	}
	loaded := make(chan struct{})
	go func() { load.Wait(); close(loaded) }()
	looker, err := pg.Open(t.Context(), pg.Options{Config: pg.Config{PoolSize: 1, RecycleSeconds: 3600}, URL: database})
	require.NoError(t, err)
	t.Cleanup(looker.Close)
	var most int
	require.Eventually(t, func() bool {
		var open int
		assert.NoError(t, looker.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&open))
		most = max(most, open)
		select {
		case <-loaded:
			return true
		default:
			return false
		}
	}, patience, 20*time.Millisecond, "the load did not end")
	require.Equal(t, len(migrations.Schemas()), most, "connections of all services")
	require.Zero(t, refused.Load())
	for id := range ids.Range {
		require.Equal(t, "succeeded", c.finished(id.(string))["status"])
	}
	p.stop()
}
