package webhooks_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

// A process dies while it posts: it got no answer, or could not write it down.
// Another posts again, the same event under the same ids.
func TestGuaranteeADeliveryIsMadeAcrossACrash(t *testing.T) {
	t.Parallel()
	h := servers(t)
	r := receive(t, nil)
	stop := h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true"})
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url})
	stop()

	// Events of while nobody ran are not lost.
	e := job("ann", contract.StatusSucceeded, 3, id())
	h.publish(e)
	stop = h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true"})
	first := testkit.Receive(t, r.posts)
	h.eventually(1, "status = 'delivered'")
	stop()

	// What a process leaves that dies in the middle of a post: a claim, and no word
	// of what came of it.
	_, err := h.db.Pool.Exec(t.Context(), `UPDATE webhooks.deliveries SET status = 'pending', attempts = 0, finished_at = NULL, claim = gen_random_uuid(),
		next_at = clock_timestamp() + interval '1 second'`)
	require.NoError(t, err)
	h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true"})
	again := testkit.Receive(t, r.posts)
	require.Equal(t, first.body, again.body)
	for _, header := range []string{"Nexus-Event", "Nexus-Event-Id", "webhook-id"} {
		require.Equal(t, first.header.Get(header), again.header.Get(header))
	}
	require.Equal(t, e.ID, again.header.Get("Nexus-Event-Id"))
	again.signedBy(t, hook.Secret)
	h.eventually(1, "status = 'delivered'")
}

// The database goes away and comes back; nothing is lost, and several processes
// share the work without doing it twice.
func TestGuaranteeEveryEventIsDeliveredThroughAnOutage(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url})
	h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true"})
	database, root := h.elsewhere()
	_, err := root.Pool.Exec(t.Context(), `ALTER DATABASE `+database+` WITH ALLOW_CONNECTIONS false`)
	require.NoError(t, err)
	_, err = root.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, database)
	require.NoError(t, err)
	want := map[string]bool{}
	for range 100 {
		e := job("ann", contract.StatusSucceeded, 3, id())
		want[e.ID] = true
		h.publish(e)
	}
	testkit.Eventually(t, func() bool {
		cons, err := h.js.Consumer(t.Context(), contract.StreamEvents, contract.ConsumerWebhooks)
		return err == nil && cons.CachedInfo().NumRedelivered > 0
	}, "no event came again")
	_, err = root.Pool.Exec(t.Context(), `ALTER DATABASE `+database+` WITH ALLOW_CONNECTIONS true`)
	require.NoError(t, err)
	for len(want) > 0 {
		p := testkit.Receive(t, r.posts)
		delete(want, p.event(t).ID)
	}
	h.quiet()
	h.eventually(0, "status <> 'delivered'")
	require.Equal(t, 100, h.count("event = 'job.succeeded'"))
}

// elsewhere is a connection to another database of the same server, and the name
// of this one.
func (h *harness) elsewhere() (database string, db *pg.DB) {
	h.t.Helper()
	u, err := url.Parse(h.url)
	require.NoError(h.t, err)
	database = strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	return database, testkit.OpenPostgres(h.t, u.String(), "")
}

// Nothing is posted to an address that is not public, whatever name leads there.
func TestGuaranteeNothingIsPostedToPrivateAddresses(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.service(nil)
	r := receive(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(r.url, "http://"), ":")
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "10.0.0.1", "169.254.169.254", "[64:ff9b::7f00:1]",
	} {
		jobID := id()
		h.mu.Lock()
		h.hooks[jobID] = contract.JobWebhook{URL: "http://" + host + ":" + port + "/hook"}
		h.mu.Unlock()
		e := jobOf("ann", contract.StatusFailed, 3, jobID, contract.JobNoop, true)
		h.publish(e)
		h.eventually(1, "event_id = $1 AND attempts = 1 AND status = 'pending' AND response_status IS NULL", e.ID)
		var says string
		require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT error FROM webhooks.deliveries WHERE event_id = $1`, e.ID).Scan(&says))
		if host != "127.1" && host != "2130706433" && host != "0x7f000001" {
			// Those three are names, which some resolvers know as addresses.
			require.Equal(t, "the address is not a public one", says, host)
		}
	}
	require.Empty(t, r.posts)
}
