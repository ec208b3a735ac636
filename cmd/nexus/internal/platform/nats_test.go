package platform_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

// broker is a process of `nexus nats`, which may be stopped and started again.
type broker struct {
	t       *testing.T
	environ map[string]string
	cancel  context.CancelFunc
	ready   chan platform.Running
	done    chan error
}

// serveNATS runs one. It stops after everything that the test starts later.
func serveNATS(t *testing.T, environ map[string]string) *broker {
	t.Helper()
	b := &broker{t: t, environ: environ}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.t.Helper()
	cfg := load(b.t, b.environ)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	b.cancel, b.ready, b.done = cancel, make(chan platform.Running, 1), make(chan error, 1)
	go func(ready chan<- platform.Running, done chan<- error) {
		done <- platform.RunNATS(ctx, platform.Options{Config: cfg, Log: io.Discard, Ready: func(r platform.Running) { ready <- r }})
	}(b.ready, b.done)
}

func (b *broker) stop() {
	b.t.Helper()
	if b.cancel == nil {
		return
	}
	b.cancel()
	b.cancel = nil
	require.NoError(b.t, testkit.Receive(b.t, b.done))
}

// submit sends one request until the platform has answered with a job that
// succeeded, as a client does that repeats it under the same key.
func submit(t *testing.T, running platform.Running, key string) {
	t.Helper()
	var last string
	testkit.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+running.HTTPAddr+"/api/v1/jobs/submit",
			strings.NewReader(`{"job_type":"ingest_batch","execution_mode":"sync","idempotency_key":"`+key+`"}`))
		require.NoError(t, err)
		req.Header.Set("X-Nexus-API-Key", "nexus-dev-operator-key")
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err.Error()
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		last = string(body)
		return err == nil && strings.Contains(last, `"status":"succeeded"`)
	}, "job %s did not succeed: %s", key, &last)
}

// The platform goes on while each member of the cluster is stopped in turn.
func TestPlatformOverAClusterOfNATS(t *testing.T) {
	t.Parallel()
	keys, proof := filepath.Join(t.TempDir(), "keys"), testkit.Certify(t)
	var routes, urls []string
	for range 3 {
		routes = append(routes, freeAddress(t))
		urls = append(urls, freeAddress(t))
	}
	var members []*broker
	for i := range routes {
		members = append(members, serveNATS(t, map[string]string{
			"NEXUS_DATA_DIR": t.TempDir(), "NEXUS_NATS_KEYS_DIR": keys, "NEXUS_NATS_LISTEN": urls[i], "NEXUS_STREAMS_REPLICAS": "3",
			"NEXUS_NATS_SERVER_NAME": fmt.Sprintf("nats-%d", i), "NEXUS_NATS_CLUSTER_LISTEN": routes[i], "NEXUS_NATS_CLUSTER_ROUTES": strings.Join(routes, ", "),
			"NEXUS_NATS_TLS_CERT": proof.Cert, "NEXUS_NATS_TLS_KEY": proof.Key, "NEXUS_NATS_TLS_CA": proof.CA,
			"NEXUS_OPS_ADDR": freeAddress(t), "NEXUS_STREAMS_MAX_BYTES": "536870912",
		}))
	}
	whole := func() {
		t.Helper()
		for _, m := range members {
			awaitReady(t, m.environ["NEXUS_OPS_ADDR"])
		}
	}
	whole()
	client := map[string]string{
		"NEXUS_NATS_URL": strings.Join(urls, ","), "NEXUS_NATS_KEYS_DIR": keys, "NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_NATS_TLS_CA": proof.CA,
		"NEXUS_STREAMS_REPLICAS": "3", "NEXUS_STREAMS_MAX_BYTES": "536870912",
	}
	_, err := platform.Create(t.Context(), load(t, client), io.Discard, migrations.Schemas())
	require.NoError(t, err)
	client["NEXUS_SCHEMA_MANAGEMENT_MODE"] = "migrate_only"
	running := start(t, client, nil)
	submit(t, running, "before")
	for i, m := range members {
		m.stop()
		submit(t, running, fmt.Sprintf("without-%d", i))
		m.start()
		whole()
	}
	submit(t, running, "after")
}

func awaitReady(t *testing.T, address string) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, "%s is not ready", address)
}

// A server whose disk was wiped makes its streams and consumers itself, and those who
// may create nothing go on.
func TestWipedNATSComesBackByItself(t *testing.T) {
	t.Parallel()
	dir, keys, address := t.TempDir(), filepath.Join(t.TempDir(), "keys"), freeAddress(t)
	server := map[string]string{"NEXUS_DATA_DIR": dir, "NEXUS_NATS_KEYS_DIR": keys, "NEXUS_NATS_LISTEN": address, "NEXUS_STREAMS_MAX_BYTES": "536870912"}
	b := serveNATS(t, server)
	testkit.Receive(t, b.ready)
	client := map[string]string{"NEXUS_NATS_URL": "nats://" + address, "NEXUS_NATS_KEYS_DIR": keys, "NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_STREAMS_MAX_BYTES": "536870912"}
	_, err := platform.Create(t.Context(), load(t, client), io.Discard, migrations.Schemas())
	require.NoError(t, err)
	client["NEXUS_SCHEMA_MANAGEMENT_MODE"] = "migrate_only"
	running := start(t, client, nil)
	submit(t, running, "before")
	b.stop()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "nats")))
	b.start()
	testkit.Receive(t, b.ready)
	submit(t, running, "after")

	opened, err := embednats.LoadKeys(keys, false, "admin")
	require.NoError(t, err)
	key, err := opened.User("admin")
	require.NoError(t, err)
	nc, err := nats.Connect("nats://"+address, key.Option())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js := testkit.JetStream(t, nc)
	for _, c := range contract.Consumers(time.Minute) {
		_, err := js.Consumer(t.Context(), c.Stream, c.Durable)
		require.NoError(t, err, c.Durable)
	}
}

// A member alone says what it waits for, while the others could find it.
func TestMemberSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	routes := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	ops := freeAddress(t)
	b := serveNATS(t, map[string]string{
		"NEXUS_DATA_DIR": t.TempDir(), "NEXUS_NATS_LISTEN": freeAddress(t), "NEXUS_NATS_SERVER_NAME": "nats-0", "NEXUS_OPS_ADDR": ops,
		"NEXUS_NATS_CLUSTER_LISTEN": routes[0], "NEXUS_NATS_CLUSTER_ROUTES": strings.Join(routes, ","),
	})
	testkit.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ops+"/readyz", nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "waits for the other members of the NATS cluster")
	}, "it does not say what it waits for")
	b.stop()
}

func TestBadNATSSettings(t *testing.T) {
	t.Parallel()
	member := map[string]string{
		"NEXUS_NATS_CLUSTER_ROUTES": "a:6222,b:6222,c:6222", "NEXUS_NATS_SERVER_NAME": "a", "NEXUS_NATS_CLUSTER_LISTEN": "0.0.0.0:6222",
	}
	_, err := platform.LoadConfig(member)
	require.NoError(t, err)
	for says, change := range map[string][2]string{
		"NEXUS_STREAMS_REPLICAS is 2: want 1, 3 or 5":            {"NEXUS_STREAMS_REPLICAS", "2"},
		"NEXUS_STREAMS_REPLICAS is 5: the cluster has 3 members": {"NEXUS_STREAMS_REPLICAS", "5"},
		"NEXUS_NATS_TLS_CERT and NEXUS_NATS_TLS_KEY go together": {"NEXUS_NATS_TLS_CERT", "/tls.crt"},
		"NEXUS_NATS_MONITOR_LISTEN":                              {"NEXUS_NATS_MONITOR_LISTEN", "8222"},
		"NEXUS_NATS_SERVER_NAME is not set":                      {"NEXUS_NATS_SERVER_NAME", ""},
		"NEXUS_NATS_SERVER_NAME is \"two words\"":                {"NEXUS_NATS_SERVER_NAME", "two words"},
		"NEXUS_NATS_CLUSTER_NAME is \"two words\"":               {"NEXUS_NATS_CLUSTER_NAME", "two words"},
		"NEXUS_NATS_CLUSTER_LISTEN":                              {"NEXUS_NATS_CLUSTER_LISTEN", "everywhere"},
		"NEXUS_NATS_CLUSTER_ROUTES has 2 addresses":              {"NEXUS_NATS_CLUSTER_ROUTES", "a:6222,b:6222"},
		"NEXUS_NATS_CLUSTER_ROUTES is \"b\"":                     {"NEXUS_NATS_CLUSTER_ROUTES", "a:6222,b,c:6222"},
	} {
		environ := map[string]string{change[0]: change[1]}
		for name, value := range member {
			if name != change[0] {
				environ[name] = value
			}
		}
		_, err := platform.LoadConfig(environ)
		require.ErrorContains(t, err, says)
	}
	alone := load(t, map[string]string{"NEXUS_DATA_DIR": t.TempDir(), "NEXUS_NATS_LISTEN": "127.0.0.1:-1", "NEXUS_STREAMS_REPLICAS": "3"})
	require.ErrorContains(t, platform.RunNATS(t.Context(), platform.Options{Config: alone, Log: io.Discard}), "a NATS server that stands alone keeps one")
	member["NEXUS_DATA_DIR"] = t.TempDir()
	_, err = platform.Create(t.Context(), load(t, member), io.Discard, nil)
	require.ErrorContains(t, err, "only `nexus nats` is a member of a cluster")
}
