package platform_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

// keep is `nexus migrate up --keep` under way.
type keep struct {
	log  *journal
	ops  string
	made chan []migrations.Ahead
	stop context.CancelFunc
	done chan error
}

func keeps(t *testing.T, environ map[string]string) *keep {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	k := &keep{log: &journal{}, ops: freeAddress(t), made: make(chan []migrations.Ahead, 1), stop: cancel, done: make(chan error, 1)}
	environ["NEXUS_OPS_ADDR"] = k.ops
	cfg := load(t, environ)
	go func() {
		k.done <- platform.Keep(ctx, platform.Options{Config: cfg, Log: k.log}, migrations.Schemas(), func(newer []migrations.Ahead) { k.made <- newer })
	}()
	return k
}

// readyz is what the process says of itself; status 0 where it does not listen yet.
func (k *keep) readyz(t *testing.T) (status int, detail string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+k.ops+"/readyz", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct{ Detail string }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	return resp.StatusCode, body.Detail
}

// It migrates, is ready, makes again what NATS loses, and ends when it is told to.
func TestMigrateKeepsTheStreams(t *testing.T) {
	t.Parallel()
	server := testkit.NATSServer(t)
	js := testkit.JetStream(t, testkit.Connect(t, server))
	require.NoError(t, js.DeleteStream(t.Context(), contract.StreamRuns))
	url := testkit.EmptyDatabase(t)
	k := keeps(t, map[string]string{"NEXUS_NATS_URL": server.ClientURL(), "NEXUS_DATABASE_URL": url, "NEXUS_SCHEMA_MANAGEMENT_MODE": "migrate_only"})
	require.Empty(t, testkit.Receive(t, k.made))
	db := testkit.OpenPostgres(t, url, "")
	require.NoError(t, migrations.Check(t.Context(), db.Bun, "jobs"))
	there := func() bool {
		_, err := js.Consumer(t.Context(), contract.StreamRuns, contract.RunConsumer(contract.QueuePlugins, contract.PriorityNormal))
		return err == nil
	}
	require.True(t, there(), "the streams are made with their consumers")
	testkit.Eventually(t, func() bool { status, _ := k.readyz(t); return status == http.StatusOK }, "it is not ready:\n%s", k.log)

	require.NoError(t, js.DeleteStream(t.Context(), contract.StreamRuns))
	testkit.Eventually(t, there, "the stream does not come back:\n%s", k.log)
	k.stop()
	require.NoError(t, testkit.Receive(t, k.done))
}

// It is alive, not ready, and says why, for as long as a server is away.
func TestMigrateWaitsForItsServers(t *testing.T) {
	t.Parallel()
	away := freeAddress(t)
	k := keeps(t, map[string]string{"NEXUS_NATS_URL": "nats://" + away, "NEXUS_DATABASE_URL": "postgres://u@" + away + "/x", "NEXUS_COMMAND_WAIT_SECONDS": "1"})
	testkit.Eventually(t, func() bool {
		status, detail := k.readyz(t)
		return status == http.StatusServiceUnavailable && detail == "Not ready: it is starting, and waits for Postgres."
	}, "it does not say what it waits for:\n%s", k.log)
	require.Empty(t, k.done)
	k.stop()
	require.NoError(t, testkit.Receive(t, k.done), "it was told to stop while it waited")
	require.Empty(t, k.made)
}

func TestMigrateKeepsNothingOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, environ := range []map[string]string{{}, {"NEXUS_NATS_URL": "nats://127.0.0.1:1"}, {"NEXUS_DATABASE_URL": "postgres://u@127.0.0.1:1/x"}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		environ["NEXUS_DATA_DIR"] = t.TempDir()
		err := platform.Keep(ctx, platform.Options{Config: load(t, environ), Log: io.Discard}, migrations.Schemas(), func([]migrations.Ahead) {})
		require.ErrorContains(t, err, "set NEXUS_NATS_URL and NEXUS_DATABASE_URL")
	}
}
