package embednats_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const randomPort = "127.0.0.1:-1"

func start(t *testing.T, opts embednats.Options) *embednats.Server {
	t.Helper()
	s, err := embednats.Start(opts)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func inProcess(t *testing.T, s *embednats.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := s.Connect(opts...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func stream(t *testing.T, nc *nats.Conn, name, subjects string) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	s, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subjects}})
	require.NoError(t, err)
	return js, s
}

// count is the number of messages of a stream, by subject.
func count(t *testing.T, s jetstream.Stream) map[string]uint64 {
	t.Helper()
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	return info.State.Subjects
}

// buffer collects a log.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// site is a server with our topology, a callout responder, and the streams that
// outsiders touch.
type site struct {
	url, id        string
	keys           *embednats.Keys
	submit, events jetstream.Stream
	conns          []*nats.Conn
}

// names of the service users of a site, with their accounts.
func siteUsers() map[string]embednats.ServiceUser {
	return map[string]embednats.ServiceUser{
		"system":  {Account: embednats.AccountSystem, Permissions: embednats.Everything()},
		"callout": {Account: embednats.AccountAuth, Permissions: embednats.Everything()},
		"admin":   {Account: embednats.AccountNexus, Permissions: embednats.Everything()},
		"jobs": {Account: embednats.AccountNexus, Permissions: embednats.Permissions{
			Publish:   embednats.Rules{Allow: []string{"nexus.events.>"}, Deny: []string{"nexus.events.secret"}},
			Subscribe: embednats.Rules{Allow: []string{"nexus.rpc.jobs.>"}},
			Respond:   true,
		}},
		"gateway": {Account: embednats.AccountNexus, Permissions: embednats.Permissions{
			Publish:   embednats.Rules{Allow: []string{"nexus.rpc.>"}},
			Subscribe: embednats.Rules{Allow: []string{"_INBOX.>"}},
		}},
		"mute": {Account: embednats.AccountNexus},
	}
}

func siteOptions(t *testing.T) (embednats.Options, *embednats.Keys) {
	t.Helper()
	users := siteUsers()
	names := make([]string, 0, len(users))
	for name := range users {
		names = append(names, name)
	}
	keys, err := embednats.LoadOrCreateKeys(t.TempDir(), names...)
	require.NoError(t, err)
	topology := &embednats.Topology{Issuer: keys.Issuer.Public, XKey: keys.XKey.Public}
	for name, user := range users {
		key, err := keys.User(name)
		require.NoError(t, err)
		user.Name, user.PublicKey = name, key.Public
		topology.Users = append(topology.Users, user)
	}
	return embednats.Options{Listen: randomPort, StoreDir: t.TempDir(), Topology: topology}, keys
}

// embedded runs the site inside the process, standAlone as the nats-server
// program would from the configuration's text.
func embedded(t *testing.T) *site {
	t.Helper()
	opts, keys := siteOptions(t)
	s := start(t, opts)
	return furnish(t, &site{url: s.ClientURL(), id: s.ID(), keys: keys})
}

func standAlone(t *testing.T) *site {
	t.Helper()
	opts, keys := siteOptions(t)
	text, err := opts.Config()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	never := func() { t.Error("the command line was not understood") }
	loaded, err := server.ConfigureOptions(flag.NewFlagSet("nats-server", flag.ContinueOnError),
		[]string{"-c", path}, never, never, never)
	require.NoError(t, err)
	loaded.NoSigs = true
	s, err := server.NewServer(loaded)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(10*time.Second))
	return furnish(t, &site{url: s.ClientURL(), id: s.ID(), keys: keys})
}

func furnish(t *testing.T, s *site) *site {
	t.Helper()
	admin := s.service(t, "admin")
	_, s.submit = stream(t, admin, contract.StreamSubmit, contract.PatternSubmit)
	_, s.events = stream(t, admin, contract.StreamEvents, contract.PatternEvents)
	answerCallouts(t, s.service(t, "callout"), s.keys)
	return s
}

// service connects as one of our services.
func (s *site) service(t *testing.T, name string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	key, err := s.keys.User(name)
	require.NoError(t, err)
	nc, err := nats.Connect(s.url, append(opts, key.Option())...)
	require.NoError(t, err)
	s.conns = append(s.conns, nc)
	t.Cleanup(nc.Close)
	return nc
}

// outsider connects with a secret; the answer of the callout names its owner.
// Violations of its permissions arrive on the channel.
func (s *site) outsider(t *testing.T, owner string, opts ...nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	violations := make(chan error, 64)
	nc, err := nats.Connect(s.url, append([]nats.Option{
		nats.Token("secret-of-" + owner), nats.CustomInboxPrefix("_INBOX_" + owner), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc, violations
}

// answerCallouts lets everybody in who has a secret of the form
// secret-of-<owner>, into EDGE, or into WORKER if the owner is "worker".
func answerCallouts(t *testing.T, nc *nats.Conn, keys *embednats.Keys) {
	t.Helper()
	issuer, err := keys.Issuer.Pair()
	require.NoError(t, err)
	curve, err := keys.XKey.Pair()
	require.NoError(t, err)
	_, err = nc.Subscribe("$SYS.REQ.USER.AUTH", func(m *nats.Msg) {
		serverKey := m.Header.Get("Nats-Server-Xkey")
		plain, err := curve.Open(m.Data, serverKey)
		if err != nil {
			t.Errorf("the request is not encrypted for us: %v", err)
			return
		}
		request, err := jwt.DecodeAuthorizationRequestClaims(string(plain))
		if err != nil {
			t.Errorf("decode the request: %v", err)
			return
		}
		answer := jwt.NewAuthorizationResponseClaims(request.UserNkey)
		answer.Audience = request.Server.ID
		if owner, ok := bytes.CutPrefix([]byte(request.ConnectOptions.Token), []byte("secret-of-")); ok {
			answer.Jwt, err = admit(request.UserNkey, string(owner)).Encode(issuer)
		} else {
			answer.Error = "who are you"
		}
		if err != nil {
			t.Errorf("encode the user: %v", err)
			return
		}
		text, err := answer.Encode(issuer)
		if err != nil {
			t.Errorf("encode the answer: %v", err)
			return
		}
		sealed, err := curve.Seal([]byte(text), serverKey)
		if err != nil {
			t.Errorf("seal the answer: %v", err)
			return
		}
		_ = m.Respond(sealed)
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
}

func admit(userKey, owner string) *jwt.UserClaims {
	claims := jwt.NewUserClaims(userKey)
	claims.Name = owner
	claims.Audience = embednats.AccountEdge
	claims.Pub.Allow = jwt.StringList{"nexus.submit." + owner + ".>"}
	claims.Sub.Allow = jwt.StringList{contract.PatternEvents, "_INBOX_" + owner + ".>"}
	if owner == "worker" {
		claims.Audience = embednats.AccountWorker
		claims.Permissions = jwt.Permissions{}
	}
	return claims
}
