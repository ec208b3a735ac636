package bus_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// restartable is a server that can go and come back at the same address with
// the same files.
type restartable struct {
	dir, address string
	server       *embednats.Server
}

func newRestartable(t *testing.T) *restartable {
	t.Helper()
	r := &restartable{dir: t.TempDir(), address: "127.0.0.1:-1"}
	r.start(t)
	r.address = strings.TrimPrefix(r.url(), "nats://")
	t.Cleanup(func() { r.server.Stop() })
	return r
}

func (r *restartable) start(t *testing.T) {
	t.Helper()
	var err error
	r.server, err = embednats.Start(embednats.Options{Listen: r.address, StoreDir: r.dir, Log: zerolog.Nop()})
	require.NoError(t, err)
}

func (r *restartable) url() string { return r.server.ClientURL() }

func connect(t *testing.T, r *restartable, log zerolog.Logger, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(r.url(), "test", log, opts...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func TestConnectComesBack(t *testing.T) {
	t.Parallel()
	r := newRestartable(t)
	log := &logbook{}
	nc := connect(t, r, zerolog.New(log))
	require.Equal(t, "nexus-test", nc.Opts.Name)
	require.Equal(t, -1, nc.Opts.MaxReconnect)
	sub, err := nc.SubscribeSync("hello")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())

	r.server.Stop()
	testkit.Eventually(t, func() bool { return !nc.IsConnected() }, "the connection did not notice")
	r.start(t)
	testkit.Eventually(t, nc.IsConnected, "the connection did not come back")
	require.NoError(t, nc.Publish("hello", nil))
	_, err = sub.NextMsgWithContext(t.Context())
	require.NoError(t, err, "subscriptions come back with it")
	testkit.Eventually(t, func() bool { return strings.Contains(log.String(), "connected to NATS again") }, "nothing was logged")
	require.Contains(t, log.String(), "lost the connection to NATS; reconnecting")
}

func TestSlowReadersAreLogged(t *testing.T) {
	t.Parallel()
	r := newRestartable(t)
	log := &logbook{}
	nc := connect(t, r, zerolog.New(log))
	sub, err := nc.SubscribeSync("flood")
	require.NoError(t, err)
	require.NoError(t, sub.SetPendingLimits(1, -1))
	for range 10 {
		require.NoError(t, nc.Publish("flood", nil))
	}
	testkit.Eventually(t, func() bool { return strings.Contains(log.String(), `"subject":"flood"`) }, "nothing was logged")
	require.Contains(t, log.String(), "slow consumer")
}

func TestConnectToNobody(t *testing.T) {
	t.Parallel()
	// A port that was free a moment ago.
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = bus.Connect("nats://"+l.Addr().String(), "test", zerolog.Nop())
	require.ErrorContains(t, err, "connect to NATS")
	_, err = bus.Connect("nats://%zz", "test", zerolog.Nop())
	require.ErrorContains(t, err, "connect to NATS")
}

func TestWhatMayPassWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	var config net.ListenConfig
	silent, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for address, passes := range map[string]bool{
		"nats://127.0.0.1:1": true, "nats://nowhere.invalid": true, "nats://" + silent.Addr().String(): true, "nats://u:swordfish@%zz": false,
	} {
		_, err := bus.Connect(address, "test", zerolog.Nop())
		require.Error(t, err, address)
		require.Equal(t, passes, bus.IsNotYet(err), "%s: %v", address, err)
		require.NotContains(t, err.Error(), "swordfish")
	}
	require.False(t, bus.IsNotYet(nil))
	require.False(t, bus.IsNotYet(fmt.Errorf("connect: %w", nats.ErrAuthorization)))
}

func TestOptionsOfTheCallerWin(t *testing.T) {
	t.Parallel()
	nc := connect(t, newRestartable(t), zerolog.Nop(), nats.Name("mine"), nats.NoReconnect())
	require.Equal(t, "mine", nc.Opts.Name)
	require.False(t, nc.Opts.AllowReconnect)
	_, err := bus.JetStream(nc)
	require.NoError(t, err)
}

func TestJetStreamNeedsAConnection(t *testing.T) {
	t.Parallel()
	js, err := bus.JetStream(testkit.NATS(t))
	require.NoError(t, err)
	_, err = js.AccountInfo(t.Context())
	require.NoError(t, err)
}
