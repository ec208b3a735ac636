package platform_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

func TestSettingsThatFollowFromOthers(t *testing.T) {
	t.Parallel()
	dev, err := platform.LoadConfig(map[string]string{"NEXUS_DATA_DIR": "/d"})
	require.NoError(t, err)
	require.Equal(t, platform.SchemaAuto, dev.SchemaMode)
	require.Equal(t, "/d/keys", dev.NATSKeys)
	require.Equal(t, "/d/objects", dev.Corpus.ObjectStorageRoot)
	prod, err := platform.LoadConfig(map[string]string{"NEXUS_ENVIRONMENT": "prod", "NEXUS_NATS_URL": "nats://n"})
	require.NoError(t, err)
	require.Equal(t, platform.SchemaMigrateOnly, prod.SchemaMode)
	require.Empty(t, prod.NATSKeys, "another server's keys are not made up")
	require.Zero(t, dev.Gateway.Leaving(), "nobody waits on a terminal")
	require.Equal(t, 10*time.Second, prod.Gateway.Leaving())
	short := load(t, map[string]string{"NEXUS_ENVIRONMENT": "prod", "NEXUS_SHUTDOWN_GRACE_SECONDS": "8"})
	require.Equal(t, 4*time.Second, short.Gateway.Leaving(), "there is time left to close what is left")
	said := load(t, map[string]string{"NEXUS_ENVIRONMENT": "prod", "NEXUS_HTTP_NOT_READY_SECONDS": "0", "NEXUS_HTTP_CLOSING_SECONDS": "2.5"})
	require.Equal(t, 2500*time.Millisecond, said.Gateway.Leaving())
	for _, bad := range []string{"-1", "601", "NaN", "30"} {
		_, err = platform.LoadConfig(map[string]string{"NEXUS_HTTP_NOT_READY_SECONDS": bad})
		require.ErrorContains(t, err, "NEXUS_HTTP_NOT_READY_SECONDS", bad)
		_, err = platform.LoadConfig(map[string]string{"NEXUS_HTTP_CLOSING_SECONDS": bad})
		require.ErrorContains(t, err, "NEXUS_HTTP_CLOSING_SECONDS", bad)
	}
}

func TestEveryBadSettingIsNamed(t *testing.T) {
	t.Parallel()
	_, err := platform.LoadConfig(map[string]string{
		"NEXUS_SCHEMA_MANAGEMENT_MODE": "sometimes", "NEXUS_SHUTDOWN_GRACE_SECONDS": "0", "NEXUS_NATS_LISTEN": "here", "NEXUS_LOG_LEVEL": "loud",
		"NEXUS_WORKER_LEASE_SECONDS": "0", "NEXUS_BENCH_WORKERS": "-1", "NEXUS_SYNC_WAIT_SECONDS": "0", "NEXUS_HTTP_MAX_BODY_BYTES": "1",
		"NEXUS_COMMAND_WAIT_SECONDS": "0", "NEXUS_STREAMS_MAX_BYTES": "1",
	})
	require.ErrorContains(t, err, "10 problem(s)")
	for _, name := range []string{
		"SCHEMA_MANAGEMENT_MODE", "SHUTDOWN_GRACE_SECONDS", "NATS_LISTEN", "LOG_LEVEL", "WORKER_LEASE_SECONDS", "BENCH_WORKERS", "SYNC_WAIT_SECONDS", "HTTP_MAX_BODY_BYTES",
		"COMMAND_WAIT_SECONDS", "STREAMS_MAX_BYTES",
	} {
		require.ErrorContains(t, err, "NEXUS_"+name)
	}
	_, err = platform.LoadConfig(map[string]string{"NEXUS_DB_POOL_SIZE": "many"})
	require.ErrorContains(t, err, `NEXUS_DB_POOL_SIZE is "many": want a whole number`)
}

func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"NEXUS_HTTP_ADDR":     {"127.0.0.1:99999", "127.0.0.1:-1", "nowhere"},
		"NEXUS_NATS_LISTEN":   {"127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:nats", "On"},
		"NEXUS_PPROF_ADDR":    {"6060", ":99999"},
		"NEXUS_OTLP_ENDPOINT": {"127.0.0.1:4318", "ftp://u:hunter2@h", "http://u:hunter2@h:99999"},
		"NEXUS_NATS_URL":      {"http://u:hunter2@h", "nats://u:hunter2@h:99999", "nats://h,nats://u:hunter2@", "nats://u:hunter2%zz@h", "u:hunter2@h:x"},
		"NEXUS_DATABASE_URL": {
			"mysql://u:hunter2@h/d", "postgres://u:hunter2@h:x/d", "postgres://u:hunter2@h:99999/d", "postgres://u:hunter2%zz@h/d", "hunter2", "host=h password='hunter2",
			"postgres://u:hunter2@h:1/d\x00", "postgres://u:hunter2:h@h:p:1/d",
		},
	} {
		for _, value := range values {
			_, err := platform.LoadConfig(map[string]string{name: value})
			require.ErrorContains(t, err, name, value)
			require.ErrorContains(t, err, "1 problem", value)
			require.NotContains(t, err.Error(), "hunter", value)
		}
	}
	for name, values := range map[string][]string{
		"NEXUS_HTTP_ADDR":    {"0.0.0.0:80", "[::1]:0"},
		"NEXUS_NATS_LISTEN":  {"127.0.0.1:-1", "off", "0.0.0.0:4222"},
		"NEXUS_NATS_URL":     {"nats://u:p@h:4222", "h", "h:4222", "nats://a, nats://b:1", "tls://h", "wss://h:443"},
		"NEXUS_DATABASE_URL": {"postgres://u:p@h/d", "postgresql://a:1,b:2/d?target_session_attrs=primary", "host=h user=u", "postgres:///d?host=/run/a%20b", "postgres://u@h/d?sslrootcert=/nowhere.crt"},
	} {
		for _, value := range values {
			_, err := platform.LoadConfig(map[string]string{name: value})
			require.NoError(t, err, value)
		}
	}
}

func TestProblemsOfProductionComeWithTheOthers(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"NEXUS_ENVIRONMENT": "prod", "NEXUS_DB_POOL_SIZE": "abc"}
	_, err := platform.LoadConfig(environ, "gateway")
	require.ErrorContains(t, err, "2 problem(s)")
	require.ErrorContains(t, err, "NEXUS_JWT_SECRET")
	_, err = platform.LoadConfig(environ, "jobs")
	require.ErrorContains(t, err, "1 problem(s)")
}

func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	settings, err := platform.Settings()
	require.NoError(t, err)
	require.NotEmpty(t, settings)
	for _, s := range settings {
		require.NotEmpty(t, s.Doc, s.Name)
	}
}

func load(t *testing.T, environ map[string]string) platform.Config {
	t.Helper()
	cfg, err := platform.LoadConfig(environ)
	require.NoError(t, err)
	return cfg
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	run := func(environ map[string]string, embedded bool, services ...string) error {
		return platform.Run(t.Context(), platform.Options{
			Config: load(t, environ), Services: services, Embedded: embedded, Log: io.Discard, Ready: func(platform.Running) {},
		})
	}
	dir := t.TempDir()
	require.ErrorContains(t, run(map[string]string{"NEXUS_DATA_DIR": dir}, false, "jobs"), "NEXUS_NATS_URL is not set")
	require.ErrorContains(t, run(map[string]string{"NEXUS_NATS_URL": "nats://127.0.0.1:1"}, false, "jobs"), "NEXUS_DATABASE_URL is not set")
	_, err := platform.LoadConfig(map[string]string{"NEXUS_NATS_URL": "nats://u:swordfish@%zz"})
	require.ErrorContains(t, err, "NEXUS_NATS_URL is not a URL")
	require.NotContains(t, err.Error(), "swordfish")
	require.ErrorContains(t, run(map[string]string{"NEXUS_NATS_URL": "nats://127.0.0.1:1", "NEXUS_NATS_KEYS_DIR": dir, "NEXUS_HTTP_ADDR": "127.0.0.1:0"}, false, "gateway"), "user-gateway.nk")

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, run(map[string]string{"NEXUS_DATA_DIR": file, "NEXUS_HTTP_ADDR": "127.0.0.1:0"}, true, "gateway"), "create the data folder")
	embedded := map[string]string{"NEXUS_DATA_DIR": dir, "NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_NATS_LISTEN": "off", "NEXUS_HTTP_ADDR": "127.0.0.1:0", "NEXUS_PPROF_ADDR": "256.0.0.1:1"}
	require.ErrorContains(t, run(embedded, true, "gateway"), "listen for profiles")
	require.ErrorContains(t, run(map[string]string{"NEXUS_DATA_DIR": dir, "NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_NATS_LISTEN": "off"}, true, "weather"), "migrations of weather")

	bad := load(t, map[string]string{"NEXUS_NATS_URL": "nats://127.0.0.1:1"})
	require.ErrorContains(t, platform.RunNATS(t.Context(), bad, io.Discard, nil, func(platform.Running) {}), "NEXUS_NATS_URL must not be set")
}

// A server without the room says which setting asks for less.
func TestNoRoomForStreams(t *testing.T) {
	t.Parallel()
	server, err := embednats.Start(embednats.Options{Listen: "127.0.0.1:-1", StoreDir: t.TempDir(), MaxStore: 1 << 30, Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	environ := map[string]string{"NEXUS_DATA_DIR": t.TempDir(), "NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_NATS_URL": server.ClientURL()}
	_, err = platform.Create(t.Context(), load(t, environ), io.Discard, migrations.Schemas())
	require.ErrorContains(t, err, "set NEXUS_STREAMS_MAX_BYTES")
	environ["NEXUS_STREAMS_MAX_BYTES"] = "536870912"
	_, err = platform.Create(t.Context(), load(t, environ), io.Discard, migrations.Schemas())
	require.NoError(t, err)
}

func TestCreateAndRemove(t *testing.T) {
	t.Parallel()
	url := testkit.EmptyDatabase(t)
	cfg := load(t, map[string]string{"NEXUS_DATA_DIR": t.TempDir(), "NEXUS_DATABASE_URL": url, "NEXUS_NATS_LISTEN": "off"})
	_, err := platform.Create(t.Context(), cfg, io.Discard, migrations.Schemas())
	require.NoError(t, err)
	_, err = platform.Create(t.Context(), cfg, io.Discard, migrations.Schemas())
	require.NoError(t, err, "twice is fine")
	db := testkit.OpenPostgres(t, url, "")
	require.NoError(t, migrations.Check(t.Context(), db.Bun, "jobs"))
	require.NoError(t, platform.Remove(t.Context(), cfg, io.Discard, migrations.Schemas()))
	require.ErrorIs(t, migrations.Check(t.Context(), db.Bun, "jobs"), migrations.ErrVersion)
}

func TestNATSAloneServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	cfg := load(t, map[string]string{"NEXUS_DATA_DIR": dir, "NEXUS_NATS_LISTEN": "127.0.0.1:-1", "NEXUS_STREAMS_MAX_BYTES": "1073741824"})
	ready, done := make(chan platform.Running, 1), make(chan error, 1)
	go func() {
		done <- platform.RunNATS(ctx, cfg, io.Discard, func(r platform.Running) { ready <- r })
	}()
	address := testkit.Receive(t, ready).NATSURL
	require.Contains(t, address, "nats://127.0.0.1:")
	keys, err := embednats.LoadKeys(filepath.Join(dir, "keys"), false, "admin")
	require.NoError(t, err)
	key, err := keys.User("admin")
	require.NoError(t, err)
	nc, err := nats.Connect(address, key.Option())
	require.NoError(t, err)
	defer nc.Close()
	js := testkit.JetStream(t, nc)
	for _, want := range contract.StreamsWithin(1 << 30) {
		s, err := js.Stream(t.Context(), want.Name)
		require.NoError(t, err, "who runs the server makes the streams")
		require.Equal(t, want.MaxBytes, s.CachedInfo().Config.MaxBytes)
	}
	cancel()
	require.NoError(t, testkit.Receive(t, done))
}
