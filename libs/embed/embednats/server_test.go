package embednats_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/embed/embednats"
)

// TestStopLeavesNoGoroutines is not parallel: it counts goroutines.
func TestStopLeavesNoGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	opts, keys := siteOptions(t)
	s, err := embednats.Start(opts)
	require.NoError(t, err)
	site := furnish(t, &site{url: s.ClientURL(), id: s.ID(), keys: keys})
	closed := make(chan struct{})
	site.outsider(t, "alice", nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	s.Stop()
	s.Stop()
	<-closed
	for _, nc := range site.conns {
		nc.Close()
	}
	goleak.VerifyNone(t, before)
}

func TestInProcessOnly(t *testing.T) {
	t.Parallel()
	s := start(t, embednats.Options{})
	require.Empty(t, s.ClientURL())
	nc := inProcess(t, s)
	require.EqualValues(t, 1<<20, nc.MaxPayload())
	require.Equal(t, s.ID(), nc.ConnectedServerId())
	require.Equal(t, "nexus", nc.ConnectedServerName())

	js, st := stream(t, nc, "WORDS", "words.>")
	_, err := js.Publish(t.Context(), "words.a", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"words.a": 1}, count(t, st))
	require.ErrorIs(t, nc.Publish("words.a", make([]byte, 1<<20+1)), nats.ErrMaxPayload)
}

func TestRandomPort(t *testing.T) {
	t.Parallel()
	first := start(t, embednats.Options{Listen: randomPort})
	second := start(t, embednats.Options{Listen: randomPort})
	require.NotEqual(t, first.ClientURL(), second.ClientURL())
	for _, s := range []*embednats.Server{first, second} {
		nc, err := nats.Connect(s.ClientURL())
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		require.Equal(t, s.ID(), nc.ConnectedServerId())
		require.Equal(t, s.ID(), inProcess(t, s).ConnectedServerId(), "and without the network")
		nc, err = nats.Connect("nats://nowhere.invalid", s.InProcess())
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		require.Equal(t, s.ID(), nc.ConnectedServerId())
	}
}

func TestRestartKeepsMessages(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), `a "new" folder`)
	opts := embednats.Options{StoreDir: dir, SyncAlways: true, MaxStore: 64 << 20}
	first, err := embednats.Start(opts)
	require.NoError(t, err)
	nc := inProcess(t, first)
	js, _ := stream(t, nc, "WORDS", "words.>")
	_, err = js.Publish(t.Context(), "words.a", []byte("kept"))
	require.NoError(t, err)
	nc.Close()
	first.Stop()

	second := start(t, opts)
	js, err = jetstream.New(inProcess(t, second))
	require.NoError(t, err)
	st, err := js.Stream(t.Context(), "WORDS")
	require.NoError(t, err)
	msg, err := st.GetLastMsgForSubject(t.Context(), "words.a")
	require.NoError(t, err)
	require.Equal(t, "kept", string(msg.Data))
	require.NotEqual(t, first.ID(), second.ID())

	info, err := js.AccountInfo(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, -1, info.Limits.MaxStore, "the account may use what the server has")
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "BIG", Subjects: []string{"big"}, MaxBytes: 65 << 20})
	require.ErrorContains(t, err, "insufficient storage")
}

func TestTemporaryStoreGoesAway(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s, err := embednats.Start(embednats.Options{})
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	s.Stop()
	entries, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestStartRefusesASecondServerOnTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, embednats.Options{StoreDir: dir})
	_, err := embednats.Start(embednats.Options{StoreDir: dir})
	require.ErrorIs(t, err, embednats.ErrInUse)
	require.ErrorContains(t, err, dir)
	first.Stop()
	start(t, embednats.Options{StoreDir: dir})
}

func TestStartSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it listens at once
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	blocked := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(blocked, "jetstream"), nil, 0o600))
	unwritable := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(unwritable, "nats.conf"), 0o700))

	tests := map[string]struct {
		opts embednats.Options
		want string
	}{
		"port taken":         {embednats.Options{Listen: taken.Addr().String()}, "address already in use"},
		"monitor port taken": {embednats.Options{Listen: randomPort, Monitor: taken.Addr().String()}, "address already in use"},
		"bad address":        {embednats.Options{Listen: "nowhere"}, "want host:port"},
		"store is a file":    {embednats.Options{StoreDir: file}, "store folder"},
		"store unusable":     {embednats.Options{StoreDir: blocked}, "JetStream"},
		"no configuration":   {embednats.Options{StoreDir: unwritable}, "write the configuration"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log buffer
			test.opts.Log = zerolog.New(&log)
			_, err := embednats.Start(test.opts)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestLogHasWarningsOnly(t *testing.T) {
	t.Parallel()
	var log buffer
	s := start(t, embednats.Options{Log: zerolog.New(&log)})
	nc := inProcess(t, s)
	require.NoError(t, nc.Flush())
	require.NotContains(t, log.String(), `"level":"info"`)

	// A stream the server cannot read is a warning or an error.
	opts := embednats.Options{StoreDir: t.TempDir(), Log: zerolog.New(&log)}
	broken := filepath.Join(opts.StoreDir, "jetstream", "$G", "streams", "BROKEN")
	require.NoError(t, os.MkdirAll(broken, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(broken, "meta.inf"), []byte("{"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(broken, "meta.sum"), []byte("0"), 0o600))
	start(t, opts)
	require.Contains(t, log.String(), `"level":"warn"`)
	require.Contains(t, log.String(), "BROKEN")
	require.Contains(t, log.String(), `"component":"nats"`)
}

// TestStrict sends the JetStream API a request with a field it does not know.
// Only a strict server refuses it, and with it an acknowledgement that was
// forged into a request.
func TestStrict(t *testing.T) {
	t.Parallel()
	nc := inProcess(t, start(t, embednats.Options{}))
	stream(t, nc, "WORDS", "words.>")
	reply, err := nc.Request("$JS.API.STREAM.PURGE.WORDS", []byte(`{"stream":"WORDS","seq":1}`), 5*time.Second)
	require.NoError(t, err)
	require.Contains(t, string(reply.Data), "10025", "invalid JSON")
}

func TestClientsAreToldOfTheStop(t *testing.T) {
	t.Parallel()
	s, err := embednats.Start(embednats.Options{Listen: randomPort})
	require.NoError(t, err)
	told, closed := make(chan struct{}), make(chan struct{})
	nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect(),
		nats.LameDuckModeHandler(func(*nats.Conn) { close(told) }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	s.Stop()
	<-told
	<-closed
}

func TestConnectAfterStop(t *testing.T) {
	t.Parallel()
	s, err := embednats.Start(embednats.Options{})
	require.NoError(t, err)
	s.Stop()
	_, err = s.Connect()
	require.ErrorContains(t, err, "NATS server of this process")
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, embednats.Options{StoreDir: dir, Monitor: randomPort, SyncInterval: time.Second})
	text, err := os.ReadFile(filepath.Join(dir, "nats.conf"))
	require.NoError(t, err)
	require.Contains(t, string(text), `http: "127.0.0.1:-1"`)
	require.Contains(t, string(text), `sync_interval: "1s"`)
	require.NotContains(t, string(text), "accounts")
}
