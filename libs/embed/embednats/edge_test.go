package embednats_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
)

// sites are the two ways to run the server; every test holds for both.
func sites() map[string]func(*testing.T) *site {
	return map[string]func(*testing.T) *site{"embedded": embedded, "stand-alone": standAlone}
}

func submit(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	ack, err := js.Publish(t.Context(), subject, []byte("job"))
	require.NoError(t, err)
	require.NotZero(t, ack.Sequence)
}

func TestOutsiderSubmitsAndWatches(t *testing.T) {
	t.Parallel()
	for name, build := range sites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			alice, violations := s.outsider(t, "alice")
			watch, err := alice.SubscribeSync("nexus.events.job.>")
			require.NoError(t, err)
			require.NoError(t, alice.Flush())

			submit(t, alice, "nexus.submit.alice.analyze")
			require.Equal(t, map[string]uint64{"nexus.submit.alice.analyze": 1}, count(t, s.submit))

			require.NoError(t, s.service(t, "jobs").Publish("nexus.events.job.queued.analyze", []byte("event")))
			msg, err := watch.NextMsg(10 * time.Second)
			require.NoError(t, err)
			require.Equal(t, "nexus.events.job.queued.analyze", msg.Subject)
			require.Equal(t, "event", string(msg.Data))
			require.Empty(t, violations)
		})
	}
}

func TestOutsiderIsKeptInItsPlace(t *testing.T) {
	t.Parallel()
	for name, build := range sites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			alice, violations := s.outsider(t, "alice")
			refused := func(what string, err error) {
				t.Helper()
				require.NoError(t, err, what)
				require.NoError(t, alice.Flush(), what)
				select {
				case err := <-violations:
					require.ErrorIs(t, err, nats.ErrPermissionViolation, what)
				case <-time.After(10 * time.Second):
					t.Fatalf("%s was not refused", what)
				}
			}
			for _, subject := range []string{
				"nexus.submit.bob.analyze", "nexus.submit.alice", "nexus.submitalice.x", "nexus.events.job.queued.x",
				"nexus.run.corpus.normal.x.y", "nexus.cmd.jobs.submit", "nexus.rpc.jobs.claim", "nexus.ctl.cancel.x",
				"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.PURGE.NEXUS_SUBMIT",
				"$JS.ACK.NEXUS_SUBMIT.gateway-door.1.1.1.1.1", "$SYS.REQ.SERVER.PING", "_INBOX_bob.x", "_INBOX.x",
			} {
				refused("publish "+subject, alice.Publish(subject, []byte("x")))
			}
			for _, subject := range []string{
				">", "*", "_INBOX.>", "_INBOX_bob.>", "$JS.API.>", "$JS.EVENT.>", "$SYS.>", "nexus.>", "nexus.submit.>", "nexus.submit.alice.>",
			} {
				_, err := alice.SubscribeSync(subject)
				refused("subscribe "+subject, err)
			}
			require.Empty(t, count(t, s.submit))
			require.Empty(t, count(t, s.events))
		})
	}
}

// TestForgedReplySubject publishes where it may, with a reply subject where it
// may not: the acknowledgement that JetStream sends there must be stored
// nowhere and obeyed by nobody (a confused deputy).
func TestForgedReplySubject(t *testing.T) {
	t.Parallel()
	for name, build := range sites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			mallory, _ := s.outsider(t, "mallory")
			const own = "nexus.submit.mallory.analyze"
			replies := []string{
				"nexus.submit.victim.analyze", "nexus.events.job.succeeded.analyze", "nexus.cmd.jobs.submit",
				"nexus.run.corpus.normal.analyze.x", "$JS.API.STREAM.PURGE.NEXUS_SUBMIT", "$JS.API.STREAM.DELETE.NEXUS_SUBMIT",
				"_INBOX.victim",
			}
			for _, reply := range replies {
				require.NoError(t, mallory.PublishRequest(own, reply, []byte("job")))
			}
			// Acknowledgements leave in order: after this one the others have left.
			submit(t, mallory, own)
			submit(t, mallory, own)

			require.Equal(t, map[string]uint64{own: uint64(len(replies)) + 2}, count(t, s.submit))
			require.Empty(t, count(t, s.events))
		})
	}
}

// TestReplySubjectIsObeyedInTheStreamsAccount shows what the separate accounts
// are for: inside NEXUS the forgery works.
func TestReplySubjectIsObeyedInTheStreamsAccount(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	admin := s.service(t, "admin")
	require.NoError(t, admin.PublishRequest("nexus.submit.mallory.x", "nexus.submit.victim.x", []byte("job")))
	require.Eventually(t, func() bool { return count(t, s.submit)["nexus.submit.victim.x"] == 1 }, 10*time.Second, 10*time.Millisecond)
}

func TestWorkerSeesNothingYet(t *testing.T) {
	t.Parallel()
	for name, build := range sites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			worker, violations := s.outsider(t, "worker")
			answer, err := worker.Request("$JS.API.INFO", nil, 5*time.Second)
			require.NoError(t, err)
			require.Contains(t, string(answer.Data), "JetStream not enabled for account")
			all, err := worker.SubscribeSync("nexus.>")
			require.NoError(t, err)
			require.NoError(t, worker.Flush())

			alice, _ := s.outsider(t, "alice")
			submit(t, alice, "nexus.submit.alice.analyze")
			require.NoError(t, s.service(t, "jobs").Publish("nexus.events.job.queued.x", nil))
			require.NoError(t, worker.Publish("nexus.done", nil))
			next, err := all.NextMsg(5 * time.Second)
			require.NoError(t, err)
			require.Equal(t, "nexus.done", next.Subject)
			require.Empty(t, violations)
		})
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	for name, build := range sites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			admin, err := s.keys.User("admin")
			require.NoError(t, err)
			pair, err := nkeys.CreateUser()
			require.NoError(t, err)
			public, err := pair.PublicKey()
			require.NoError(t, err)
			tests := map[string]nats.Option{
				"nothing":            nats.Name("nobody"),
				"a wrong secret":     nats.Token("guess"),
				"an unknown key":     nats.Nkey(public, pair.Sign),
				"a key without seed": nats.Nkey(admin.Public, pair.Sign),
			}
			for name, option := range tests {
				nc, err := nats.Connect(s.url, option)
				if err == nil {
					nc.Close()
				}
				require.ErrorIs(t, err, nats.ErrAuthorization, name)
			}
		})
	}
}

func TestServiceIsLimited(t *testing.T) {
	t.Parallel()
	for name, build := range sites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			violations := make(chan error, 8)
			report := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err })
			refused := func(what string, nc *nats.Conn, err error) {
				t.Helper()
				require.NoError(t, err, what)
				require.NoError(t, nc.Flush(), what)
				select {
				case err := <-violations:
					require.ErrorIs(t, err, nats.ErrPermissionViolation, what)
				case <-time.After(10 * time.Second):
					t.Fatalf("%s was not refused", what)
				}
			}
			jobs := s.service(t, "jobs", report)
			_, err := jobs.Subscribe("nexus.rpc.jobs.get", func(m *nats.Msg) { _ = m.Respond([]byte("job")) })
			require.NoError(t, err)
			require.NoError(t, jobs.Flush())
			gateway := s.service(t, "gateway", report)
			answer, err := gateway.Request("nexus.rpc.jobs.get", nil, 10*time.Second)
			require.NoError(t, err)
			require.Equal(t, "job", string(answer.Data), "a service may answer")

			refused("another subject", jobs, jobs.Publish("nexus.dead.x", nil))
			refused("a denied subject", jobs, jobs.Publish("nexus.events.secret", nil))
			refused("the JetStream API", jobs, jobs.Publish("$JS.API.STREAM.DELETE.NEXUS_EVENTS", nil))
			_, err = jobs.SubscribeSync("nexus.cmd.>")
			refused("another subscription", jobs, err)

			mute := s.service(t, "mute", report)
			refused("anything published", mute, mute.Publish("x", nil))
			_, err = mute.SubscribeSync("x")
			refused("anything subscribed", mute, err)
			require.Empty(t, violations)
		})
	}
}

func TestSystemUserCanKick(t *testing.T) {
	t.Parallel()
	for name, build := range sites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t)
			closed := make(chan struct{})
			alice, _ := s.outsider(t, "alice", nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
			cid, err := alice.GetClientID()
			require.NoError(t, err)
			system := s.service(t, "system")
			answer, err := system.Request("$SYS.REQ.SERVER."+s.id+".KICK", fmt.Appendf(nil, `{"cid":%d}`, cid), 10*time.Second)
			require.NoError(t, err)
			var outcome struct {
				Error json.RawMessage `json:"error"`
			}
			require.NoError(t, json.Unmarshal(answer.Data, &outcome))
			require.Empty(t, outcome.Error)
			<-closed
		})
	}
}

// TestProcessIsNoPrivilege connects without the network.
func TestProcessIsNoPrivilege(t *testing.T) {
	t.Parallel()
	opts, keys := siteOptions(t)
	opts.Listen = ""
	server := start(t, opts)
	key, err := keys.User("mute")
	require.NoError(t, err)
	violations := make(chan error, 1)
	nc := inProcess(t, server, key.Option(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	require.NoError(t, nc.Publish("nexus.events.x", nil))
	require.ErrorIs(t, <-violations, nats.ErrPermissionViolation)
}

func TestServicesDoNotNeedTheCallout(t *testing.T) {
	t.Parallel()
	opts, keys := siteOptions(t)
	server := start(t, opts)
	s := &site{url: server.ClientURL(), keys: keys}
	require.NoError(t, s.service(t, "gateway").Flush())
	_, err := nats.Connect(s.url, nats.Token("secret-of-alice"))
	require.ErrorIs(t, err, nats.ErrAuthorization, "without the callout outsiders stay out")
}
