package platform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

// journal collects a log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// waiting is a process that may still wait for what it needs.
type waiting struct {
	t     *testing.T
	log   *journal
	ready chan platform.Running
	stop  context.CancelFunc
	done  chan error
}

func begin(t *testing.T, environ map[string]string, services ...string) *waiting {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiting{t: t, log: &journal{}, ready: make(chan platform.Running, 1), stop: cancel, done: make(chan error, 1)}
	cfg := load(t, environ)
	go func() {
		w.done <- platform.Run(ctx, platform.Options{Config: cfg, Services: services, Log: w.log, Ready: func(r platform.Running) { w.ready <- r }})
	}()
	t.Cleanup(cancel)
	return w
}

// says waits for n lines that hold text.
func (w *waiting) says(text string, n int) {
	w.t.Helper()
	testkit.Eventually(w.t, func() bool { return strings.Count(w.log.String(), text) >= n }, "it did not say %q %d times:\n%s", text, n, w.log)
	select {
	case err := <-w.done:
		require.FailNow(w.t, "it ended", "%v", err)
	default:
	}
}

// ends tells the process to stop and requires that it does, in order.
func (w *waiting) ends() {
	w.t.Helper()
	w.stop()
	require.NoError(w.t, testkit.Receive(w.t, w.done))
}

// freeAddress was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// silence accepts connections and never says a word, as a network does that drops
// what comes.
func silence(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestServersThatAreAwayAreWaitedFor(t *testing.T) {
	t.Parallel()
	other, err := url.Parse(testkit.EmptyDatabase(t))
	require.NoError(t, err)
	other.Path += "_not_yet"
	for name, tc := range map[string]struct {
		environ map[string]string
		says    string
	}{
		"nobody at the port of Postgres": {map[string]string{"NEXUS_DATABASE_URL": "postgres://u:swordfish@" + freeAddress(t) + "/x?password=swordfish"}, "waiting for Postgres at postgres://127.0.0.1"},
		"Postgres is silent":             {map[string]string{"NEXUS_DATABASE_URL": "postgres://u:swordfish@" + silence(t) + "/x"}, "waiting for Postgres at postgres://127.0.0.1"},
		"an unknown name of Postgres":    {map[string]string{"NEXUS_DATABASE_URL": "postgres://u:swordfish@nowhere.invalid/x"}, "waiting for Postgres at postgres://nowhere.invalid/x"},
		"no database yet":                {map[string]string{"NEXUS_DATABASE_URL": other.String()}, "waiting for Postgres at "},
		"nobody at the port of NATS":     {map[string]string{"NEXUS_DATABASE_URL": testkit.PostgresURL(t), "NEXUS_NATS_URL": "nats://u:swordfish@" + freeAddress(t)}, "waiting for NATS at nats://127.0.0.1"},
		"NATS is silent":                 {map[string]string{"NEXUS_DATABASE_URL": testkit.PostgresURL(t), "NEXUS_NATS_URL": "nats://swordfish@" + silence(t)}, "waiting for NATS at nats://127.0.0.1"},
		"an unknown name of NATS":        {map[string]string{"NEXUS_DATABASE_URL": testkit.PostgresURL(t), "NEXUS_NATS_URL": "nats://u:swordfish@nowhere.invalid"}, "waiting for NATS at nats://nowhere.invalid"},
		"no schema yet": {
			map[string]string{"NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_SCHEMA_MANAGEMENT_MODE": "migrate_only"},
			"waiting for schema jobs, which `nexus migrate up` makes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := map[string]string{"NEXUS_NATS_URL": "nats://127.0.0.1:1"}
			for k, v := range tc.environ {
				environ[k] = v
			}
			w := begin(t, environ, "jobs")
			// Each try has an end, and a line.
			w.says(tc.says, 1)
			w.ends()
			require.NotContains(t, w.log.String(), "swordfish")
		})
	}
}

// A gateway is alive while it waits, says what for, and serves once that is there.
func TestGatewayAnswersWhileItWaits(t *testing.T) {
	t.Parallel()
	address, dir := freeAddress(t), t.TempDir()
	web := freeAddress(t)
	w := begin(t, map[string]string{
		"NEXUS_NATS_URL": "nats://" + address, "NEXUS_HTTP_ADDR": web, "NEXUS_SCHEMA_MANAGEMENT_MODE": "migrate_only",
	}, "gateway")
	w.says("waiting for NATS at nats://"+address, 1)
	get := func(path string) (int, map[string]any, http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+web+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		body := map[string]any{}
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
		return resp.StatusCode, body, resp.Header
	}
	status, body, _ := get("/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"status": "ok"}, body)
	for _, path := range []string{"/readyz", "/api/v1/jobs", "//", "/docs"} {
		status, body, header := get(path)
		require.Equal(t, http.StatusServiceUnavailable, status, path)
		require.Equal(t, "Not ready: it is starting, and waits for NATS.", body["detail"], path)
		require.Equal(t, "unavailable", body["code"])
		require.Equal(t, "application/problem+json", header.Get("Content-Type"))
		require.NotEmpty(t, header.Get("Retry-After"))
		require.Equal(t, header.Get("X-Request-ID"), body["request_id"])
	}

	server, err := embednats.Start(embednats.Options{Listen: address, StoreDir: dir, Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	w.says("waiting for the streams, which `nexus migrate up` makes", 1)
	testkit.Eventually(t, func() bool {
		_, body, _ := get("/readyz")
		return strings.HasSuffix(body["detail"].(string), "waits for the streams, which `nexus migrate up` makes.")
	}, "it does not say that it waits for the streams")
	cfg := load(t, map[string]string{"NEXUS_NATS_URL": "nats://" + address, "NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_DATA_DIR": t.TempDir()})
	_, err = platform.Create(t.Context(), cfg, io.Discard, migrations.Schemas())
	require.NoError(t, err)
	require.Equal(t, web, testkit.Receive(t, w.ready).HTTPAddr)
	status, _, _ = get("/healthz")
	require.Equal(t, http.StatusOK, status)
	status, body, _ = get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body["detail"], "jobs (", "no other service runs here")
	w.ends()
}

// What waiting cannot mend ends the process at once, and says why.
func TestWhatWaitingCannotMend(t *testing.T) {
	t.Parallel()
	ours, theirs := t.TempDir(), t.TempDir()
	cfg := load(t, map[string]string{"NEXUS_DATA_DIR": ours, "NEXUS_NATS_LISTEN": "127.0.0.1:-1"})
	ctx, cancel := context.WithCancel(t.Context())
	ready, stopped := make(chan platform.Running, 1), make(chan error, 1)
	go func() {
		stopped <- platform.RunNATS(ctx, platform.Options{Config: cfg, Log: io.Discard, Ready: func(r platform.Running) { ready <- r }})
	}()
	nats := testkit.Receive(t, ready).NATSURL
	_, err := embednats.LoadOrCreateKeys(theirs, "jobs", "admin")
	require.NoError(t, err)
	database, err := url.Parse(testkit.EmptyDatabase(t))
	require.NoError(t, err)
	stranger := *database
	stranger.User = url.UserPassword("nobody_at_all", "swordfish")
	for says, environ := range map[string]map[string]string{
		"Authorization Violation": {"NEXUS_DATABASE_URL": testkit.PostgresURL(t), "NEXUS_NATS_URL": nats, "NEXUS_NATS_KEYS_DIR": theirs},
		"nobody_at_all":           {"NEXUS_DATABASE_URL": stranger.String(), "NEXUS_NATS_URL": nats},
	} {
		w := begin(t, environ, "jobs")
		err := testkit.Receive(t, w.done)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error()+w.log.String(), "swordfish")
	}
	cancel()
	require.NoError(t, testkit.Receive(t, stopped))
}

// A command that ends by itself waits for as long as it is told to, and names what
// it waited for.
func TestCommandsWaitForAWhile(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	environ := map[string]string{"NEXUS_COMMAND_WAIT_SECONDS": "2", "NEXUS_DATA_DIR": t.TempDir(), "NEXUS_DATABASE_URL": "postgres://u:swordfish@" + address + "/x", "NEXUS_NATS_URL": "nats://t0ken@" + address}
	var log journal
	_, err := platform.Create(t.Context(), load(t, environ), &log, migrations.Schemas())
	require.ErrorContains(t, err, fmt.Sprintf("s for Postgres at postgres://%s/x: reach the database", address))
	require.Contains(t, log.String(), "waiting for Postgres at postgres://"+address+"/x")
	environ["NEXUS_DATABASE_URL"] = testkit.EmptyDatabase(t)
	err = platform.RebuildBroker(t.Context(), load(t, environ), &log)
	require.ErrorContains(t, err, "s for NATS at nats://"+address+": connect to NATS")
	require.NotContains(t, err.Error()+log.String(), "swordfish")
	require.NotContains(t, err.Error()+log.String(), "t0ken")
}
