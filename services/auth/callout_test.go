package auth_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/auth"
)

const authSubject = "$SYS.REQ.USER.AUTH"

// site is a NATS server that asks the auth service who its clients are.
type site struct {
	*harness
	server *embednats.Server
	keys   *embednats.Keys
}

// siteUsers are those whose keys the server knows itself. The rights of auth
// are those it has in production.
func siteUsers() map[string]embednats.ServiceUser {
	all := embednats.Everything()
	return map[string]embednats.ServiceUser{
		"admin":    {Account: embednats.AccountNexus, Permissions: all},
		"callout":  {Account: embednats.AccountAuth, Permissions: all},
		"intruder": {Account: embednats.AccountAuth, Permissions: all},
		"auth": {Account: embednats.AccountNexus, Permissions: embednats.Permissions{
			Publish:   embednats.Rules{Allow: []string{"nexus.dead.auth.>", "nexus.events.auth.>"}},
			Subscribe: embednats.Rules{Allow: []string{"_INBOX_auth.>", "nexus.rpc.auth.>", "$SRV.>"}},
			Respond:   true,
		}},
	}
}

// guarded is a site without the service.
func guarded(t testing.TB) *site {
	t.Helper()
	names := []string{"admin", "callout", "intruder", "auth"}
	keys, err := embednats.LoadOrCreateKeys(t.TempDir(), names...)
	require.NoError(t, err)
	topology := &embednats.Topology{Issuer: keys.Issuer.Public, XKey: keys.XKey.Public}
	for name, user := range siteUsers() {
		key, err := keys.User(name)
		require.NoError(t, err)
		user.Name, user.PublicKey = name, key.Public
		topology.Users = append(topology.Users, user)
	}
	server, err := embednats.Start(embednats.Options{Listen: "127.0.0.1:-1", StoreDir: t.TempDir(), Topology: topology, Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	s := &site{harness: &harness{t: t, url: testkit.PostgresURL(t), log: &buffer{}}, server: server, keys: keys}
	s.nc = s.user("admin")
	s.js = testkit.JetStream(t, s.nc)
	require.NoError(t, bus.Provision(t.Context(), s.js, contract.Streams(), contract.Consumers(testkit.Lease)))
	s.open()
	return s
}

// startSite is a site with the service.
func startSite(t testing.TB) *site {
	t.Helper()
	s := guarded(t)
	s.callout()
	return s
}

// user connects as one of our own.
func (s *site) user(name string) *nats.Conn {
	s.t.Helper()
	key, err := s.keys.User(name)
	require.NoError(s.t, err)
	nc, err := nats.Connect(s.server.ClientURL(), key.Option(), nats.CustomInboxPrefix(contract.InboxPrefix(name)))
	require.NoError(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

// callout starts an auth service that answers the server; stop drains it.
func (s *site) callout(change ...func(*auth.Deps)) (stop func()) {
	s.t.Helper()
	issuer, err := s.keys.Issuer.Pair()
	require.NoError(s.t, err)
	xkey, err := s.keys.XKey.Pair()
	require.NoError(s.t, err)
	own := func(d *auth.Deps) {
		d.NC = s.user("auth")
		d.JS = testkit.JetStream(s.t, d.NC)
		d.Now = time.Now
		d.Callout = &auth.Callout{NC: s.user("callout"), Issuer: issuer, XKey: xkey}
	}
	return s.service(nil, append([]func(*auth.Deps){own}, change...)...)
}

// outsider is a client that came with a secret. What the server forbids it
// arrives in violations.
type outsider struct {
	*nats.Conn
	t          testing.TB
	violations chan error
}

func (s *site) connect(owner string, opts ...nats.Option) (*outsider, error) {
	s.t.Helper()
	o := &outsider{t: s.t, violations: make(chan error, 64)}
	nc, err := nats.Connect(s.server.ClientURL(), append([]nats.Option{
		nats.NoReconnect(), nats.CustomInboxPrefix(contract.InboxPrefix(owner)), nats.Timeout(20 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { o.violations <- err }),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(nc.Close)
	o.Conn = nc
	return o, nil
}

func (s *site) enter(owner, key string) *outsider {
	s.t.Helper()
	o, err := s.connect(owner, nats.Token(key))
	require.NoError(s.t, err)
	return o
}

// forbidden requires that what was just done was refused by the server.
func (o *outsider) forbidden(what, subject string) {
	o.t.Helper()
	require.NoError(o.t, o.Flush())
	err := testkit.Receive(o.t, o.violations)
	require.ErrorIs(o.t, err, nats.ErrPermissionViolation)
	require.Contains(o.t, strings.ToLower(err.Error()), strings.ToLower(what+` to "`+subject+`"`))
}

func TestRightsOfEveryRole(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	for owner, key := range devKeys() {
		t.Run(owner, func(t *testing.T) {
			t.Parallel()
			o := s.enter(owner, key)
			o.t = t
			watch, err := o.SubscribeSync("nexus.events.job.succeeded." + owner)
			require.NoError(t, err)
			inbox, err := o.SubscribeSync(contract.InboxPrefix(owner) + ".answers")
			require.NoError(t, err)
			require.NoError(t, o.Flush())
			require.NoError(t, s.nc.Publish("nexus.events.job.succeeded."+owner, []byte("happened")))
			m, err := watch.NextMsg(20 * time.Second)
			require.NoError(t, err)
			require.Equal(t, "happened", string(m.Data))

			mayPublish(t, s, o, owner)
			for _, subject := range []string{
				">", "*", "nexus.>", "nexus.submit.>", "nexus.submit." + owner + ".>", "nexus.rpc.>", "nexus.cmd.>", "nexus.run.>", "nexus.dead.>",
				"nexus.ctl.>", "_INBOX.>", "_INBOX_*.>", "_INBOX_somebody.>", "_INBOX_auth.>", "$JS.>", "$JS.API.>", "$SYS.>", "$SRV.>", authSubject,
			} {
				_, err := o.SubscribeSync(subject)
				require.NoError(t, err)
				o.forbidden("permissions violation for subscription", subject)
			}
			_, err = inbox.NextMsg(time.Millisecond)
			require.ErrorIs(t, err, nats.ErrTimeout)
			require.Empty(t, o.violations)
		})
	}
}

// mayPublish tries everything an owner could want to publish.
func mayPublish(t *testing.T, s *site, o *outsider, owner string) {
	t.Helper()
	js, err := jetstream.New(o.Conn)
	require.NoError(t, err)
	own := "nexus.submit." + owner + ".analyze"
	if owner == "dev-viewer" {
		require.NoError(t, o.Publish(own, []byte("job")))
		o.forbidden("permissions violation for publish", own)
	} else {
		ack, err := js.Publish(t.Context(), own, []byte("job"))
		require.NoError(t, err)
		require.Equal(t, contract.StreamSubmit, ack.Stream)
	}
	for _, subject := range []string{
		"nexus.submit.somebody.analyze", "nexus.submit." + owner, "nexus.submit." + owner + "x.analyze", "nexus.events.job.succeeded.analyze",
		"nexus.events.auth.success.admin", contract.SubjectSubmitJobs, "nexus.run.plugins.normal.analyze.1", contract.RPCAuthVerify, contract.RPCAuthOwner,
		contract.RPCJobsCancel, "nexus.dead.gateway.refused", "nexus.ctl.cancel.1", "_INBOX_somebody.1", contract.InboxPrefix(owner) + ".1",
		"$JS.API.STREAM.NAMES", "$JS.API.STREAM.PURGE.NEXUS_SUBMIT", "$JS.ACK.NEXUS_SUBMIT.gateway-door.1.1.1.1.1", authSubject, "anything",
	} {
		require.NoError(t, o.Publish(subject, []byte("{}")))
		o.forbidden("permissions violation for publish", subject)
	}
	stream, err := s.js.Stream(t.Context(), contract.StreamSubmit)
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("nexus.submit."+owner+".>"))
	require.NoError(t, err)
	if owner == "dev-viewer" {
		require.Empty(t, info.State.Subjects)
	} else {
		require.Equal(t, map[string]uint64{own: 1}, info.State.Subjects)
	}
}

func TestWaysToPresentAKey(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	for name, opt := range map[string]nats.Option{
		"token": nats.Token(operatorKey), "password": nats.UserInfo("whoever", operatorKey), "in the URL": nats.UserInfo("", operatorKey),
	} {
		o, err := s.connect("dev-operator", opt)
		require.NoError(t, err, name)
		require.NoError(t, o.Publish("nexus.submit.dev-operator.analyze", nil))
		require.NoError(t, o.Flush())
		require.Empty(t, o.violations, name)
	}
}

func TestBadKeysDoNotGetIn(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	s.exec(`UPDATE auth.api_keys SET enabled = false WHERE owner = 'dev-admin'`)
	stranger, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := stranger.PublicKey()
	require.NoError(t, err)
	for name, opts := range map[string][]nats.Option{
		"none":                 nil,
		"empty":                {nats.Token("")},
		"unknown":              {nats.Token("nobody's key")},
		"513 bytes":            {nats.Token(strings.Repeat("k", 513))},
		"3000 bytes":           {nats.Token(strings.Repeat("k", 3000))},
		"disabled":             {nats.Token(adminKey)},
		"the hash of a key":    {nats.Token(identity.HashKey(viewerKey))},
		"other case":           {nats.Token(strings.ToUpper(viewerKey))},
		"white space behind":   {nats.Token(viewerKey + " ")},
		"a name only":          {nats.UserInfo("dev-viewer", "")},
		"key as the name":      {nats.UserInfo(viewerKey, "")},
		"unknown nkey":         {nats.Nkey(public, stranger.Sign)},
		"our name, no key":     {nats.UserInfo("auth", "auth")},
		"a bad token, good pw": {nats.Token("nobody's key"), nats.UserInfo("x", "nor this")},
	} {
		_, err := s.connect("dev-viewer", opts...)
		require.ErrorIs(t, err, nats.ErrAuthorization, name)
	}
	s.enter("dev-viewer", viewerKey)
}

func TestConnectionsAreEvents(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	s.enter("dev-operator", operatorKey)
	m, d := s.event()
	require.Equal(t, "nexus.events.auth.success.operator dev-operator", m.subject+" "+m.Actor)
	require.Equal(t, contract.AuthDecision{KeyHashPrefix: identity.HashKey(operatorKey)[:12], Role: "operator", Endpoint: "NATS CONNECT", Address: "127.0.0.1"}, d)
	_, err := s.connect("x", nats.Token("nobody's key"))
	require.Error(t, err)
	m, d = s.event()
	require.Equal(t, "nexus.events.auth.failure.anonymous", m.subject)
	require.Equal(t, "NATS CONNECT", d.Endpoint)
	require.Contains(t, s.log.String(), "a NATS client was refused")
	require.NotContains(t, s.log.String(), "nobody's key")
}

// Many may share an address: good keys are let in at once whatever others do there,
// and what is bad is slow and told once it was too many.
func TestGuessingOverNATSIsSlow(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	guess := func() {
		_, err := s.connect("x", nats.Token("nobody's key"))
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("a guess was let in: %v", err)
		}
	}
	for range 30 {
		guess()
	}
	var guessers sync.WaitGroup
	begun := time.Now()
	for range 20 {
		guessers.Go(func() { guess(); guess() })
	}
	for range 5 {
		s.enter("dev-viewer", viewerKey).Close()
	}
	guessers.Wait()
	require.Greater(t, time.Since(begun), 2*time.Second, "each guess waits for its answer")
	stream, err := s.js.Stream(t.Context(), contract.StreamEvents)
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("nexus.events.auth.>"))
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"nexus.events.auth.failure.anonymous": 30, "nexus.events.auth.success.viewer": 5}, info.State.Subjects)
}

func TestNobodyGetsInWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	var db *pg.DB
	s.callout(func(d *auth.Deps) { db = d.DB })
	o := s.enter("dev-viewer", viewerKey)
	db.Close()
	_, err := s.connect("dev-viewer", nats.Token(viewerKey))
	require.ErrorIs(t, err, nats.ErrAuthorization)
	require.NoError(t, o.Flush(), "who is in stays in")
}

func TestNobodyGetsInWithoutTheService(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	stop := s.callout()
	o := s.enter("dev-viewer", viewerKey)
	stop()
	_, err := s.connect("dev-viewer", nats.Token(viewerKey))
	require.ErrorIs(t, err, nats.ErrAuthorization)
	require.NoError(t, o.Flush(), "who is in stays in")
	require.NoError(t, s.user("auth").Flush(), "and our own services need no callout")
	s.callout()
	s.enter("dev-viewer", viewerKey)
}

// Connections end after a while, so that a key that was disabled meanwhile does
// not live on in one.
func TestConnectionsExpire(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	// Ten minutes less three seconds ago.
	s.callout(func(d *auth.Deps) {
		d.Now = func() time.Time { return time.Now().Add(3*time.Second - 10*time.Minute) }
	})
	o := s.enter("dev-viewer", viewerKey)
	require.NoError(t, o.Flush())
	s.exec(`UPDATE auth.api_keys SET enabled = false WHERE owner = 'dev-viewer'`)
	require.ErrorIs(t, testkit.Receive(t, o.violations), nats.ErrAuthExpired)
	testkit.Eventually(t, o.IsClosed, "the connection outlives its time")
	_, err := s.connect("dev-viewer", nats.Token(viewerKey))
	require.ErrorIs(t, err, nats.ErrAuthorization)
}

func TestReplicasShareTheWork(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	stop := s.callout()
	s.callout()
	const clients = 20
	for range clients {
		s.enter("dev-viewer", viewerKey)
	}
	for range clients {
		m, _ := s.event()
		require.Equal(t, "dev-viewer", m.Actor)
	}
	stop()
	s.enter("dev-viewer", viewerKey)
	m, _ := s.event()
	require.Equal(t, "dev-viewer", m.Actor)
	require.Empty(t, s.events, "each question is answered once")
}

// forger sends the callout what is not a server's question.
type forger struct {
	*site
	nc *nats.Conn
	// xkey is the forger's own, server signs as a NATS server would.
	xkey, server nkeys.KeyPair
}

func newForger(s *site) *forger {
	s.t.Helper()
	xkey, err := nkeys.CreateCurveKeys()
	require.NoError(s.t, err)
	server, err := nkeys.CreateServer()
	require.NoError(s.t, err)
	return &forger{site: s, nc: s.user("intruder"), xkey: xkey, server: server}
}

func public(t testing.TB, pair nkeys.KeyPair) string {
	t.Helper()
	p, err := pair.PublicKey()
	require.NoError(t, err)
	return p
}

// question asks to let a new user in with a key, in the name of a server.
func (f *forger) question(serverID, key string) string {
	f.t.Helper()
	user, err := nkeys.CreateUser()
	require.NoError(f.t, err)
	claims := jwt.NewAuthorizationRequestClaims("claims")
	claims.UserNkey = public(f.t, user)
	claims.Server.ID = serverID
	claims.ConnectOptions.Token = key
	text, err := claims.Encode(f.server)
	require.NoError(f.t, err)
	return text
}

func (f *forger) seal(text, recipient string) []byte {
	f.t.Helper()
	sealed, err := f.xkey.Seal([]byte(text), recipient)
	require.NoError(f.t, err)
	return sealed
}

func (f *forger) ask(data []byte, xkey string) (*nats.Subscription, *nats.Msg) {
	f.t.Helper()
	m := nats.NewMsg(authSubject)
	m.Data, m.Reply = data, f.nc.NewInbox()
	if xkey != "" {
		m.Header.Set("Nats-Server-Xkey", xkey)
	}
	sub, err := f.nc.SubscribeSync(m.Reply)
	require.NoError(f.t, err)
	return sub, m
}

func TestForgedQuestionsGetNoAnswer(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	f := newForger(s)
	ours, own, ownID := s.keys.XKey.Public, public(t, f.xkey), public(t, f.server)
	good := f.question(ownID, adminKey)
	userClaims, err := jwt.NewUserClaims(public(t, mustUser(t))).Encode(mustAccount(t))
	require.NoError(t, err)
	tampered := []byte(good)
	tampered[len(tampered)/2] ^= 1
	tests := map[string]struct {
		data []byte
		xkey string
	}{
		"empty":                          {nil, ""},
		"nonsense":                       {[]byte("let me in"), ""},
		"in the clear":                   {[]byte(good), ""},
		"in the clear, with a key":       {[]byte(good), own},
		"a key that is none":             {f.seal(good, ours), "XKEY"},
		"another's key":                  {f.seal(good, ours), ours},
		"for somebody else":              {f.seal(good, own), own},
		"sealed nonsense":                {f.seal("let me in", ours), own},
		"sealed nothing":                 {f.seal("", ours), own},
		"a user instead of a question":   {f.seal(userClaims, ours), own},
		"tampered with":                  {f.seal(string(tampered), ours), own},
		"in the name of the real server": {f.seal(f.question(s.server.ID(), adminKey), ours), own},
		"in nobody's name":               {f.seal(f.question("", adminKey), ours), own},
		"cut short":                      {f.seal(good, ours)[:40], own},
	}
	for name, tc := range tests {
		sub, m := f.ask(tc.data, tc.xkey)
		before := strings.Count(s.log.String(), "was not answered")
		require.NoError(t, f.nc.PublishMsg(m))
		testkit.Eventually(t, func() bool { return strings.Count(s.log.String(), "was not answered") > before }, "%s: nobody noticed", name)
		require.NoError(t, f.nc.Flush())
		_, err := sub.NextMsg(time.Millisecond)
		require.ErrorIs(t, err, nats.ErrTimeout, name)
	}
	require.Empty(t, s.events, "no key was looked at")

	// The tools of this test are good: a question that is in order is answered,
	// to the one who asked, and leads nowhere but the edge.
	sub, m := f.ask(f.seal(good, ours), own)
	require.NoError(t, f.nc.PublishMsg(m))
	answer, err := sub.NextMsg(20 * time.Second)
	require.NoError(t, err)
	plain, err := f.xkey.Open(answer.Data, ours)
	require.NoError(t, err)
	response, err := jwt.DecodeAuthorizationResponseClaims(string(plain))
	require.NoError(t, err)
	require.Equal(t, []string{s.keys.Issuer.Public, ownID, ""}, []string{response.Issuer, response.Audience, response.Error})
	user, err := jwt.DecodeUserClaims(response.Jwt)
	require.NoError(t, err)
	require.Equal(t, []string{"dev-admin", embednats.AccountEdge, s.keys.Issuer.Public}, []string{user.Name, user.Audience, user.Issuer})
	require.InDelta(t, time.Now().Add(10*time.Minute).Unix(), user.Expires, 30)
}

func mustUser(t testing.TB) nkeys.KeyPair {
	t.Helper()
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	return pair
}

func mustAccount(t testing.TB) nkeys.KeyPair {
	t.Helper()
	pair, err := nkeys.CreateAccount()
	require.NoError(t, err)
	return pair
}
