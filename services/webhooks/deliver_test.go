package webhooks_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
)

// waiting is how long a delivery waits for its next attempt, in seconds.
func (h *harness) waiting() float64 {
	h.t.Helper()
	var seconds float64
	require.NoError(h.t, h.db.Pool.QueryRow(h.t.Context(), `SELECT extract(epoch FROM next_at - last_at)::float8 FROM webhooks.deliveries WHERE status = 'pending'`).Scan(&seconds))
	return seconds
}

// A receiver that never takes a delivery gets eight attempts at growing
// distances; then it has failed, until somebody asks for it again.
func TestRetriesAndRedelivery(t *testing.T) {
	t.Parallel()
	h := start(t)
	var healthy atomic.Bool
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if healthy.Load() {
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("a secret of the receiver"))
	})
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url + "/?token=s3cret"})
	h.publish(job("ann", contract.StatusFailed, 3, id()))
	first := testkit.Receive(t, r.posts)
	for i, wait := range []float64{5, 30, 120, 600, 3600, 10_800, 21_600} {
		h.eventually(1, "status = 'pending' AND attempts = $1 AND claim IS NULL", i+1)
		require.InDelta(t, wait, h.waiting(), wait*0.11)
		h.due()
		again := testkit.Receive(t, r.posts)
		require.Equal(t, first.body, again.body)
		require.Equal(t, first.header.Get("webhook-id"), again.header.Get("webhook-id"))
		again.signedBy(t, hook.Secret)
	}
	h.eventually(1, "status = 'failed' AND attempts = 8")
	d := h.deliveries(hook.WebhookID, "failed")[0]
	require.Equal(t, "the answer is 500", d.Error)
	require.Equal(t, 500, *d.ResponseStatus)
	require.NotContains(t, h.log.String(), "s3cret")
	require.Empty(t, h.deliveries(hook.WebhookID, "pending"))

	healthy.Store(true)
	again := call[contract.WebhookDelivery](h, contract.RPCWebhookRedeliver, contract.RedeliverRequest{WebhookAsker: by("ann"), WebhookID: hook.WebhookID, DeliveryID: d.DeliveryID})
	require.Equal(t, contract.DeliveryPending, again.Status)
	require.Zero(t, again.Attempts)
	testkit.Receive(t, r.posts)
	h.eventually(1, "status = 'delivered' AND attempts = 1 AND error = ''")
	// What was delivered can be asked for again as well.
	call[contract.WebhookDelivery](h, contract.RPCWebhookRedeliver, contract.RedeliverRequest{WebhookAsker: by("ann"), WebhookID: hook.WebhookID, DeliveryID: d.DeliveryID})
	require.Equal(t, first.body, testkit.Receive(t, r.posts).body)
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	h := start(t)
	elsewhere := receive(t, nil)
	r := receive(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/busy":
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/forever":
			w.Header().Set("Retry-After", "999999")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/soon":
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/date":
			w.Header().Set("Retry-After", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/absurd":
			w.Header().Set("Retry-After", "99999999999999999999")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/past":
			w.Header().Set("Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/lost":
			w.Header().Set("Location", "http://%zz")
			w.WriteHeader(http.StatusFound)
		case "/nonsense":
			w.Header().Set("Retry-After", "tomorrow")
			w.WriteHeader(http.StatusBadRequest)
		case "/redirect":
			http.Redirect(w, req, elsewhere.url, http.StatusTemporaryRedirect)
		case "/hangup":
			panic(http.ErrAbortHandler)
		case "/long":
			_, _ = w.Write([]byte(strings.Repeat("x", 10<<20)))
		}
	})
	for path, want := range map[string]struct {
		status, least, most float64
		says                string
	}{
		"/busy":     {429, 119, 121, "the answer is 429"},
		"/forever":  {503, 3599, 3601, "the answer is 503"},
		"/absurd":   {503, 3599, 3601, "the answer is 503"},
		"/past":     {503, 4, 6, "the answer is 503"},
		"/lost":     {302, 4, 6, "redirects are not followed"},
		"/soon":     {503, 4, 6, "the answer is 503"},
		"/date":     {503, 590, 601, "the answer is 503"},
		"/nonsense": {400, 4, 6, "the answer is 400"},
		"/redirect": {307, 4, 6, "redirects are not followed"},
		"/hangup":   {0, 4, 6, "the connection broke off"},
	} {
		jobID := id()
		h.mu.Lock()
		h.hooks[jobID] = contract.JobWebhook{URL: r.url + path}
		h.mu.Unlock()
		e := jobOf("ann", contract.StatusFailed, 3, jobID, contract.JobNoop, true)
		h.publish(e)
		h.eventually(1, "event_id = $1 AND attempts = 1", e.ID)
		var status, wait float64
		var says string
		require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT coalesce(response_status, 0), extract(epoch FROM next_at - last_at)::float8, error
			FROM webhooks.deliveries WHERE event_id = $1`, e.ID).Scan(&status, &wait, &says))
		require.InDelta(t, want.status, status, 0, path)
		require.GreaterOrEqual(t, wait, want.least, path)
		require.LessOrEqual(t, wait, want.most, path)
		require.Contains(t, says, want.says, path)
	}
	long := id()
	h.mu.Lock()
	h.hooks[long] = contract.JobWebhook{URL: r.url + "/long"}
	h.mu.Unlock()
	h.publish(jobOf("ann", contract.StatusFailed, 3, long, contract.JobNoop, true))
	h.eventually(1, "status = 'delivered'")
	require.Empty(t, elsewhere.posts)
}

// 410 Gone ends the subscription, and nobody else's.
func TestGoneSwitchesOff(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
	})
	gone := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url + "/gone"})
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url + "/here"})
	sub, err := h.nc.SubscribeSync("nexus.events.webhook.disabled.ann")
	require.NoError(t, err)
	require.NoError(t, h.nc.Flush())
	h.publish(job("ann", contract.StatusFailed, 3, id()))
	msg, err := sub.NextMsg(20 * time.Second)
	require.NoError(t, err)
	require.Contains(t, string(msg.Data), `"actor":"nexus.webhooks"`)
	h.eventually(1, "status = 'failed' AND attempts = 1 AND response_status = 410")
	now := call[contract.Webhook](h, contract.RPCWebhook, contract.WebhookRequest{WebhookAsker: by("ann"), WebhookID: gone.WebhookID})
	require.False(t, now.Enabled)
	require.Equal(t, "the receiver answered 410 Gone", now.DisabledReason)
	h.publish(job("ann", contract.StatusFailed, 3, id()))
	h.eventually(2, "status = 'delivered'")
	h.quiet()
	require.Equal(t, 3, h.count("true"))

	// Switched on again, it hears of what comes; what failed can be asked for.
	d := h.deliveries(gone.WebhookID, "failed")[0]
	refused(h, fault.Conflict, contract.RPCWebhookRedeliver, contract.RedeliverRequest{WebhookAsker: by("ann"), WebhookID: gone.WebhookID, DeliveryID: d.DeliveryID})
	yes, url := true, r.url+"/here"
	back := call[contract.WebhookWithSecret](h, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{WebhookAsker: by("ann"), WebhookID: gone.WebhookID, Enabled: &yes, URL: &url})
	require.True(t, back.Enabled)
	require.Empty(t, back.DisabledReason)
	call[contract.WebhookDelivery](h, contract.RPCWebhookRedeliver, contract.RedeliverRequest{WebhookAsker: by("ann"), WebhookID: gone.WebhookID, DeliveryID: d.DeliveryID})
	h.eventually(3, "status = 'delivered'")
}

// What waits for a subscription that is switched off is not posted any more, and
// goes with one that is deleted.
func TestOffAndDeleted(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url})
	h.publish(job("ann", contract.StatusFailed, 3, id()))
	h.eventually(1, "status = 'pending' AND attempts = 1 AND claim IS NULL")
	no := false
	call[contract.WebhookWithSecret](h, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{WebhookAsker: by("ann"), WebhookID: hook.WebhookID, Enabled: &no})
	h.due()
	h.eventually(1, "status = 'failed' AND error = 'the webhook is switched off'")
	require.Len(t, r.posts, 1)
	h.publish(job("ann", contract.StatusFailed, 3, id()))
	h.quiet()
	require.Equal(t, 1, h.count("true"))
	call[struct{}](h, contract.RPCWebhookDelete, contract.WebhookRequest{WebhookAsker: by("ann"), WebhookID: hook.WebhookID})
	require.Zero(t, h.count("true"))
	h.publish(job("ann", contract.StatusFailed, 3, id()))
	h.quiet()
	require.Zero(t, h.count("true"))
}

// A receiver that hangs takes four posts at most, and keeps nobody else from
// hearing of events.
func TestASlowReceiverDisturbsNobody(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true", "NEXUS_WEBHOOKS_CONCURRENCY": "6"})
	release := make(chan struct{})
	var now, most atomic.Int64
	slow := receive(t, func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		now.Add(-1)
	})
	fast := receive(t, nil)
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: slow.url})
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("bob"), URL: fast.url})
	const many = 30
	for range many {
		h.publish(job("ann", contract.StatusFailed, 3, id()))
	}
	for range 4 {
		testkit.Receive(t, slow.posts)
	}
	for range many {
		h.publish(job("bob", contract.StatusFailed, 3, id()))
	}
	for range many {
		testkit.Receive(t, fast.posts)
	}
	require.Empty(t, slow.posts)
	require.EqualValues(t, 4, now.Load())
	close(release)
	h.eventually(2*many, "status = 'delivered'")
	require.EqualValues(t, 4, most.Load())
}

// An owner with more slow hosts than a process has room for leaves some of it to
// others.
func TestAnOwnerOfSlowReceiversDisturbsNobody(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true", "NEXUS_WEBHOOKS_CONCURRENCY": "8"})
	release := make(chan struct{})
	var slow []*receiver
	for range 4 {
		r := receive(t, func(http.ResponseWriter, *http.Request) { <-release })
		h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url})
		slow = append(slow, r)
	}
	fast := receive(t, nil)
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("bob"), URL: fast.url})
	const many = 30
	for range many {
		h.publish(job("ann", contract.StatusFailed, 3, id()))
	}
	h.eventually(6, "claim IS NOT NULL")
	for range many {
		h.publish(job("bob", contract.StatusFailed, 3, id()))
	}
	for range many {
		testkit.Receive(t, fast.posts)
	}
	require.Equal(t, 6, len(slow[0].posts)+len(slow[1].posts)+len(slow[2].posts)+len(slow[3].posts))
	close(release)
	h.eventually(5*many, "status = 'delivered'")
}

// A receiver that takes too long, is not there, or cannot be trusted.
func TestReceiversThatCannotBeReached(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true", "NEXUS_WEBHOOKS_TIMEOUT": "2s"})
	hang := make(chan struct{})
	slow := receive(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) })
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	for url, says := range map[string]string{
		slow.url:                      "no answer came in time",
		gone.URL:                      "the connection was refused",
		secure.URL:                    "the certificate is not trusted",
		"https" + slow.url[4:]:        "the host does not speak TLS",
		"http://nowhere.invalid/hook": "the host ",
	} {
		jobID := id()
		h.mu.Lock()
		h.hooks[jobID] = contract.JobWebhook{URL: url}
		h.mu.Unlock()
		e := jobOf("ann", contract.StatusFailed, 3, jobID, contract.JobNoop, true)
		h.publish(e)
		h.eventually(1, "event_id = $1 AND attempts = 1 AND status = 'pending'", e.ID)
		var text string
		require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT error FROM webhooks.deliveries WHERE event_id = $1`, e.ID).Scan(&text))
		require.Contains(t, text, says, url)
		require.NotContains(t, text, "127.0.0.1")
	}
}

func TestOldDeliveriesArePruned(t *testing.T) {
	t.Parallel()
	h := servers(t)
	for _, row := range []string{
		`'pending', now(), NULL`, `'delivered', NULL, now() - interval '6 days'`, `'delivered', NULL, now() - interval '8 days'`,
		`'failed', NULL, now() - interval '29 days'`, `'failed', NULL, now() - interval '31 days'`,
	} {
		_, err := h.db.Pool.Exec(t.Context(), `INSERT INTO webhooks.deliveries (id, owner, event_id, event, url, host, body, status, next_at, finished_at)
			SELECT gen_random_uuid(), 'ann', gen_random_uuid()::text, 'job.failed', 'http://127.0.0.1:1/', '127.0.0.1:1', '{}', `+row)
		require.NoError(t, err)
	}
	h.service(nil)
	h.eventually(3, "true")
	require.Equal(t, 1, h.count("status = 'delivered'"))
	require.Equal(t, 1, h.count("status = 'failed'"))
}
