package testkit

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
)

// Lease is the run lease in tests: short enough to see it run out.
const Lease = 2 * time.Second

// NATSServer starts a server with every stream and consumer and no
// authentication. It ends with the test.
func NATSServer(t testing.TB) *embednats.Server {
	t.Helper()
	s, err := embednats.Start(embednats.Options{Listen: "127.0.0.1:-1", StoreDir: t.TempDir(), Log: zerolog.Nop()})
	require.NoError(t, err, "start NATS")
	t.Cleanup(s.Stop)
	js := JetStream(t, Connect(t, s))
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(Lease)))
	return s
}

// Connect opens a connection to a server and closes it when the test ends.
func Connect(t testing.TB, s *embednats.Server) *nats.Conn {
	t.Helper()
	nc, err := s.Connect(nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	require.NoError(t, err, "connect to NATS")
	t.Cleanup(nc.Close)
	return nc
}

// NATS starts a server with every stream and connects to it.
func NATS(t testing.TB) *nats.Conn {
	t.Helper()
	return Connect(t, NATSServer(t))
}

// JetStream opens JetStream on a connection.
func JetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := bus.JetStream(nc)
	require.NoError(t, err, "open JetStream")
	return js
}
