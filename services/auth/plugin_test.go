package auth_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

const pluginKey = "key-of-the-plugin-keywords"

// pluginSite is a site with a key of the role plugin.
func pluginSite(t *testing.T) *site {
	t.Helper()
	s := startSite(t)
	s.exec(`INSERT INTO auth.api_keys (id, owner, role, key_hash, raw_mode_enabled) VALUES (gen_random_uuid(), 'keywords', 'plugin', $1, false)`,
		identity.HashKey(pluginKey))
	return s
}

// TestAPluginAnswersAndDoesNothingElse: it is called under its own name, answers
// once, and hears and says nothing besides.
func TestAPluginAnswersAndDoesNothingElse(t *testing.T) {
	t.Parallel()
	s := pluginSite(t)
	o := s.enter("keywords", pluginKey)
	service, err := micro.AddService(o.Conn, micro.Config{Name: "keywords", Version: "1.0.0"})
	require.NoError(t, err)
	require.NoError(t, service.AddEndpoint("run", micro.HandlerFunc(func(r micro.Request) {
		_ = r.Respond(append([]byte("answer to "), r.Data()...))
		_ = r.Respond([]byte("and more"))
	}), micro.WithEndpointSubject("nexus.plugin.keywords")))
	require.NoError(t, o.Flush())
	require.Empty(t, o.violations, "a NATS micro service needs no more rights")

	answers, err := s.nc.SubscribeSync(s.nc.NewInbox())
	require.NoError(t, err)
	require.NoError(t, s.nc.PublishRequest("nexus.plugin.keywords", answers.Subject, []byte("call")))
	m, err := answers.NextMsg(20 * time.Second)
	require.NoError(t, err)
	require.Equal(t, "answer to call", string(m.Data))
	o.forbiddenAnswer()
	_, err = answers.NextMsg(100 * time.Millisecond)
	require.ErrorIs(t, err, nats.ErrTimeout, "one call, one answer")

	for _, subject := range []string{
		">", "*", "nexus.>", "nexus.plugin.*", "nexus.plugin.>", "nexus.plugin.mood", "nexus.events.>", "nexus.events.job.>", "nexus.rpc.>", "nexus.submit.>",
		"nexus.submit.keywords.>", "_INBOX.>", contract.InboxPattern("keywords"), "_R_.>", "$SRV.>", "$SRV.PING.mood", "$JS.>", "$SYS.>", authSubject,
	} {
		_, err := o.SubscribeSync(subject)
		require.NoError(t, err)
		o.forbidden("permissions violation for subscription", subject)
	}
	for _, subject := range []string{
		"nexus.plugin.keywords", "nexus.plugin.mood", "nexus.submit.keywords.analyze", "nexus.events.job.succeeded.analyze", contract.SubjectSubmitJobs,
		contract.RPCAuthVerify, contract.RPCPluginsRuns, "nexus.ctl.cancel.1", "_INBOX.1", contract.InboxPrefix("keywords") + ".1", "$SRV.PING", "$JS.API.INFO",
		authSubject, "anything", answers.Subject,
	} {
		require.NoError(t, o.Publish(subject, []byte("{}")))
		o.forbidden("permissions violation for publish", subject)
	}
}

// forbiddenAnswer requires that a second answer was refused.
func (o *outsider) forbiddenAnswer() {
	o.t.Helper()
	require.NoError(o.t, o.Flush())
	select {
	case err := <-o.violations:
		require.ErrorIs(o.t, err, nats.ErrPermissionViolation)
	case <-time.After(20 * time.Second):
		o.t.Fatal("a second answer was not refused")
	}
}

// TestPluginsDoNotMeetClients: what is not of the account does not exist there.
func TestPluginsDoNotMeetClients(t *testing.T) {
	t.Parallel()
	s := pluginSite(t)
	o := s.enter("keywords", pluginKey)
	calls, err := o.SubscribeSync("nexus.plugin.keywords")
	require.NoError(t, err)
	require.NoError(t, o.Flush())
	admin := s.enter("dev-admin", adminKey)
	require.NoError(t, admin.Publish("nexus.plugin.keywords", []byte("from a client")))
	admin.forbidden("permissions violation for publish", "nexus.plugin.keywords")
	_, err = admin.SubscribeSync("nexus.plugin.keywords")
	require.NoError(t, err)
	admin.forbidden("permissions violation for subscription", "nexus.plugin.keywords")
	require.NoError(t, s.nc.Publish("nexus.plugin.keywords", []byte("from a service")))
	m, err := calls.NextMsg(20 * time.Second)
	require.NoError(t, err)
	require.Equal(t, "from a service", string(m.Data))
}

// TestNobodyAnswersForAPlugin: the caller learns at once that nobody is there.
func TestNobodyAnswersForAPlugin(t *testing.T) {
	t.Parallel()
	s := pluginSite(t)
	started := time.Now()
	_, err := s.nc.Request("nexus.plugin.keywords", nil, 20*time.Second)
	require.ErrorIs(t, err, nats.ErrNoResponders)
	require.Less(t, time.Since(started), 10*time.Second)
}

func TestAKeyOfAPluginIsMadeLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := pluginSite(t)
	who, err := s.verifyKey(pluginKey)
	require.NoError(t, err)
	require.Equal(t, "plugin", who.Role)
}
