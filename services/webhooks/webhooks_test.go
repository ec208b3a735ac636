package webhooks_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/webhooks"
)

func TestAnEventIsPostedSigned(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url + "/hook?x=1", Description: "mine"})
	require.Regexp(t, `^whsec_[0-9A-Za-z+/]{43}=$`, hook.Secret)
	require.Equal(t, []string{"*"}, hook.Events)
	require.True(t, hook.Enabled)
	e := job("ann", contract.StatusSucceeded, 3, id())
	h.publish(e, job("bob", contract.StatusSucceeded, 3, id()))
	got := testkit.Receive(t, r.posts)
	want, err := contract.Encode(e)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got.body), "byte for byte what event streams send")
	require.Equal(t, "/hook?x=1", got.path)
	got.signedBy(t, hook.Secret)
	require.Equal(t, "job.succeeded", got.header.Get("Nexus-Event"))
	require.Equal(t, e.ID, got.header.Get("Nexus-Event-Id"))
	require.Equal(t, "Nexus-Webhooks/1", got.header.Get("User-Agent"))
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.NoError(t, uuid.Validate(got.header.Get("webhook-id")))
	at, err := strconv.ParseInt(got.header.Get("webhook-timestamp"), 10, 64)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), time.Unix(at, 0), time.Minute)

	h.eventually(1, "status = 'delivered'")
	d := h.deliveries(hook.WebhookID, "")
	require.Len(t, d, 1)
	require.Equal(t, contract.DeliveryDelivered, d[0].Status)
	require.Equal(t, 1, d[0].Attempts)
	require.Equal(t, http.StatusNoContent, *d[0].ResponseStatus)
	require.Nil(t, d[0].NextAttemptAt)
	require.NotNil(t, d[0].FinishedAt)
	require.Empty(t, r.posts, "what happens to the jobs of others is not told")
	require.NotContains(t, h.log.String(), hook.Secret)
}

func TestOnlyWhatWasAskedForIsPosted(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url + "/failed", Events: []string{"job.failed", "job.cancelled"}})
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url + "/analyze", JobType: contract.JobAnalyze})
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: admin("root"), URL: r.url + "/all", All: true, Events: []string{"job.cancelled"}})
	h.role("root", "admin")
	failed := job("ann", contract.StatusFailed, 3, id())
	analyze := jobOf("ann", contract.StatusQueued, 1, id(), contract.JobAnalyze, false)
	others := job("bob", contract.StatusCancelled, 2, id())
	h.publish(job("ann", contract.StatusQueued, 1, id()))
	h.publish(failed)
	h.publish(analyze)
	h.publish(others)
	h.raw("nexus.events.job.progress.noop", []byte(`[{"id":"p","type":"nexus.job.progress.v1","time":"2026-05-01T12:00:00Z","source":"nexus.jobs","data":{"job_id":"x"}}]`))
	h.raw("nexus.events.job.failed.noop", []byte(`nonsense`))
	h.raw("nexus.events.job.failed.noop", []byte(`[{"id":"odd","type":"t","time":"2026-05-01T12:00:00Z","source":"s","data":[1]}]`))
	h.quiet()
	got := map[string]string{}
	for range 3 {
		p := testkit.Receive(t, r.posts)
		got[p.path] = p.event(t).ID
	}
	require.Equal(t, map[string]string{"/failed": failed.ID, "/analyze": analyze.ID, "/all": others.ID}, got)
	require.Equal(t, 3, h.count("true"))
}

// The broker delivers at least once, and publishers publish at least once.
func TestAnEventIsDeliveredOnceHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url})
	jobID := id()
	h.hooks[jobID] = contract.JobWebhook{URL: r.url + "/job"}
	e := jobOf("ann", contract.StatusRunning, 2, jobID, contract.JobNoop, true)
	for range 3 {
		h.publish(e, e)
		h.quiet()
	}
	// A consumer that is made again starts from the beginning.
	require.NoError(t, h.js.DeleteConsumer(t.Context(), contract.StreamEvents, contract.ConsumerWebhooks))
	testkit.Eventually(t, func() bool { return h.provision() == nil }, "the consumer was not made again")
	last := job("ann", contract.StatusSucceeded, 3, jobID)
	h.publish(last)
	h.eventually(3, "status = 'delivered'")
	h.quiet()
	require.Equal(t, 3, h.count("true"))
	require.Len(t, h.deliveries(hook.WebhookID, ""), 2)
	require.Len(t, r.posts, 3)
}

func TestHooksOfSingleJobs(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	jobID := id()
	h.hooks[jobID] = contract.JobWebhook{URL: r.url + "/job", Events: []string{"job.succeeded"}}
	before := call[contract.WebhookSecret](h, contract.RPCWebhookSecret, contract.WebhookSecretRequest{Asker: by("ann").Asker})
	h.publish(jobOf("ann", contract.StatusQueued, 1, jobID, contract.JobNoop, true))
	h.publish(jobOf("ann", contract.StatusRunning, 2, jobID, contract.JobNoop, true))
	e := jobOf("ann", contract.StatusSucceeded, 3, jobID, contract.JobNoop, true)
	h.publish(e)
	// One that the jobs service has forgotten.
	h.publish(jobOf("ann", contract.StatusSucceeded, 3, id(), contract.JobNoop, true))
	got := testkit.Receive(t, r.posts)
	require.Equal(t, "/job", got.path)
	require.Equal(t, e.ID, got.event(t).ID)
	got.signedBy(t, before.Secret)
	h.quiet()
	require.Equal(t, 1, h.count("true"))
	h.mu.Lock()
	require.LessOrEqual(t, h.asked, 2, "what was asked once is remembered")
	h.mu.Unlock()

	after := call[contract.WebhookSecret](h, contract.RPCWebhookSecret, contract.WebhookSecretRequest{Asker: by("ann").Asker})
	require.NotEqual(t, before.Secret, after.Secret)
	other := id()
	h.mu.Lock()
	h.hooks[other] = contract.JobWebhook{URL: r.url + "/other"}
	h.mu.Unlock()
	h.publish(jobOf("ann", contract.StatusFailed, 3, other, contract.JobNoop, true))
	testkit.Receive(t, r.posts).signedBy(t, after.Secret)

	// Bob never asked for a secret; one is made, and he gets another by asking.
	bobs := id()
	h.mu.Lock()
	h.hooks[bobs] = contract.JobWebhook{URL: r.url + "/bob"}
	h.mu.Unlock()
	h.publish(jobOf("bob", contract.StatusFailed, 3, bobs, contract.JobNoop, true))
	var secret string
	got = testkit.Receive(t, r.posts)
	require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT secret FROM webhooks.owners WHERE owner = 'bob'`).Scan(&secret))
	got.signedBy(t, secret)
}

// The jobs service is away for a while; nothing is lost.
func TestJobsServiceAway(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	jobID := "not a job id"
	h.publish(jobOf("ann", contract.StatusQueued, 1, jobID, contract.JobNoop, true))
	h.quiet()
	require.Zero(t, h.count("true"))
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url})
	h.publish(jobOf("ann", contract.StatusRunning, 2, jobID, contract.JobNoop, true))
	require.NotEmpty(t, testkit.Receive(t, r.posts).body)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg := settings(t, nil)
	require.Equal(t, webhooks.Config{Timeout: 10 * time.Second, Concurrency: 16, DeliveredHours: 168, FailedHours: 720}, cfg)
	var bad webhooks.Config
	err := config.Load(&bad, map[string]string{
		"NEXUS_WEBHOOKS_TIMEOUT": "1ms", "NEXUS_WEBHOOKS_CONCURRENCY": "0", "NEXUS_WEBHOOKS_DELIVERED_HOURS": "0", "NEXUS_WEBHOOKS_FAILED_HOURS": "-1",
	})
	for _, name := range []string{"TIMEOUT", "CONCURRENCY", "DELIVERED_HOURS", "FAILED_HOURS"} {
		require.ErrorContains(t, err, "NEXUS_WEBHOOKS_"+name)
	}
	require.ErrorContains(t, config.Load(&bad, map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "perhaps"}), "NEXUS_WEBHOOKS_ALLOW_PRIVATE")
}

// What an owner may not hear any more stops.
func TestWhoIsNoAdminHearsNobodyElse(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	h.role("root", "admin")
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: admin("root"), URL: r.url, All: true})
	h.publish(job("bob", contract.StatusSucceeded, 3, id()))
	testkit.Receive(t, r.posts)
	get := func() contract.Webhook {
		return call[contract.Webhook](h, contract.RPCWebhook, contract.WebhookRequest{WebhookAsker: admin("root"), WebhookID: hook.WebhookID})
	}
	require.True(t, get().Enabled)
	h.role("root", "operator")
	testkit.Eventually(t, func() bool { return !get().Enabled }, "it is still on")
	require.Equal(t, "its owner is no admin any more", get().DisabledReason)
	h.publish(job("bob", contract.StatusSucceeded, 3, id()))
	h.quiet()
	require.Equal(t, 1, h.count("true"))
	yes := true
	refused(h, fault.Forbidden, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{WebhookAsker: by("root"), WebhookID: hook.WebhookID, Enabled: &yes})
	call[struct{}](h, contract.RPCWebhookDelete, contract.WebhookRequest{WebhookAsker: by("root"), WebhookID: hook.WebhookID})
}

// An owner of whom nobody can tell what it may do keeps what it has, and keeps
// nobody else from being asked for.
func TestWhoCannotBeAskedForShieldsNobody(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.role("ann", "unknowable")
	h.role("bob", "operator")
	h.role("cat", "unknowable")
	enabled := map[string]func() bool{}
	for _, owner := range []string{"ann", "bob", "cat"} {
		hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: admin(owner), URL: "https://example.com", All: true})
		enabled[owner] = func() bool {
			return call[contract.Webhook](h, contract.RPCWebhook, contract.WebhookRequest{WebhookAsker: admin("root"), WebhookID: hook.WebhookID}).Enabled
		}
	}
	testkit.Eventually(t, func() bool { return !enabled["bob"]() }, "it is still on")
	require.True(t, enabled["ann"]())
	require.True(t, enabled["cat"]())
}

// Every change is an event, in the name of whoever made it, without a secret.
func TestChangesAreEvents(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub, err := h.nc.SubscribeSync("nexus.events.webhook.>")
	require.NoError(t, err)
	require.NoError(t, h.nc.Flush())
	next := func(what string) contract.WebhookChange {
		t.Helper()
		msg, err := sub.NextMsg(10 * time.Second)
		require.NoError(t, err)
		require.Equal(t, "nexus.events.webhook."+what+".ann", msg.Subject)
		events, err := contract.DecodeEvents(msg.Data)
		require.NoError(t, err)
		require.Equal(t, "ann", events[0].Actor)
		require.Equal(t, "r-1", events[0].RequestID)
		require.NotContains(t, string(msg.Data), "token=")
		require.NotContains(t, string(msg.Data), "whsec_")
		var change contract.WebhookChange
		require.NoError(t, json.Unmarshal(events[0].Data, &change))
		require.Equal(t, "192.0.2.7", change.Address)
		return change
	}
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://example.com/?token=1"})
	require.Equal(t, "example.com", next("created").Host)
	update := func(req contract.UpdateWebhookRequest) contract.WebhookWithSecret {
		req.WebhookAsker, req.WebhookID = by("ann"), hook.WebhookID
		return call[contract.WebhookWithSecret](h, contract.RPCWebhookUpdate, req)
	}
	no, yes, other, kinds := false, true, "https://example.org/?token=2", []string{"job.failed"}
	require.Empty(t, update(contract.UpdateWebhookRequest{URL: &other, Events: &kinds}).Secret)
	require.Equal(t, []string{"url", "events"}, next("updated").Changed)
	update(contract.UpdateWebhookRequest{Enabled: &no})
	require.False(t, next("disabled").Enabled)
	update(contract.UpdateWebhookRequest{Enabled: &yes})
	require.True(t, next("enabled").Enabled)
	rotated := update(contract.UpdateWebhookRequest{RotateSecret: true})
	require.NotEqual(t, hook.Secret, rotated.Secret)
	require.Equal(t, []string{"secret"}, next("rotated").Changed)
	call[contract.WebhookSecret](h, contract.RPCWebhookSecret, contract.WebhookSecretRequest{Asker: by("ann").Asker})
	require.Empty(t, next("rotated").WebhookID)
	call[struct{}](h, contract.RPCWebhookDelete, contract.WebhookRequest{WebhookAsker: by("ann"), WebhookID: hook.WebhookID})
	next("deleted")
}
