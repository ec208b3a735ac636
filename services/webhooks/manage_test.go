package webhooks_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
)

func TestSubscriptionsAreTheirOwners(t *testing.T) {
	t.Parallel()
	h := start(t)
	anns := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://example.com/1", Secret: "0123456789abcdef"})
	require.Equal(t, "0123456789abcdef", anns.Secret)
	bobs := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("bob"), URL: "https://example.com/2", Events: []string{"job.failed", "job.cancelled"}, JobType: "noop", Description: "bob's"})
	require.Equal(t, []string{"job.cancelled", "job.failed"}, bobs.Events)
	list := func(who contract.WebhookAsker, limit, offset int) (ids []string) {
		for _, w := range call[contract.WebhooksReply](h, contract.RPCWebhooks, contract.ListWebhooksRequest{WebhookAsker: who, Limit: limit, Offset: offset}).Webhooks {
			ids = append(ids, w.WebhookID)
		}
		return ids
	}
	require.Equal(t, []string{anns.WebhookID}, list(by("ann"), 100, 0))
	require.Empty(t, list(by("eve"), 100, 0))
	require.Equal(t, []string{bobs.WebhookID, anns.WebhookID}, list(admin("root"), 100, 0))
	require.Equal(t, []string{anns.WebhookID}, list(admin("root"), 1, 1))

	// That of somebody else is not there, for nothing and nobody but an admin.
	no, delivery := false, uuid.NewString()
	for subject, req := range map[string]func(contract.WebhookAsker, string) any{
		contract.RPCWebhook: func(a contract.WebhookAsker, id string) any {
			return contract.WebhookRequest{WebhookAsker: a, WebhookID: id}
		},
		contract.RPCWebhookUpdate: func(a contract.WebhookAsker, id string) any {
			return contract.UpdateWebhookRequest{WebhookAsker: a, WebhookID: id, Enabled: &no}
		},
		contract.RPCWebhookDelete: func(a contract.WebhookAsker, id string) any {
			return contract.WebhookRequest{WebhookAsker: a, WebhookID: id}
		},
		contract.RPCWebhookDeliveries: func(a contract.WebhookAsker, id string) any {
			return contract.DeliveriesRequest{WebhookAsker: a, WebhookID: id, Limit: 1}
		},
		contract.RPCWebhookRedeliver: func(a contract.WebhookAsker, id string) any {
			return contract.RedeliverRequest{WebhookAsker: a, WebhookID: id, DeliveryID: delivery}
		},
	} {
		require.Contains(t, refused(h, fault.NotFound, subject, req(by("ann"), bobs.WebhookID)), "Webhook not found", subject)
		refused(h, fault.NotFound, subject, req(admin("root"), uuid.NewString()))
		refused(h, fault.NotFound, subject, req(by("ann"), "no id"))
		refused(h, fault.Unprocessable, subject, req(by(""), bobs.WebhookID))
	}
	refused(h, fault.NotFound, contract.RPCWebhookRedeliver, contract.RedeliverRequest{WebhookAsker: by("bob"), WebhookID: bobs.WebhookID, DeliveryID: delivery})
	refused(h, fault.NotFound, contract.RPCWebhookRedeliver, contract.RedeliverRequest{WebhookAsker: by("bob"), WebhookID: bobs.WebhookID, DeliveryID: "no id"})
	still := call[contract.Webhook](h, contract.RPCWebhook, contract.WebhookRequest{WebhookAsker: by("bob"), WebhookID: bobs.WebhookID})
	require.True(t, still.Enabled)
	off := call[contract.WebhookWithSecret](h, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{WebhookAsker: admin("root"), WebhookID: bobs.WebhookID, Enabled: &no})
	require.False(t, off.Enabled)
	require.Empty(t, off.Secret)
	empty, all := "", []string{"*"}
	plain := call[contract.WebhookWithSecret](h, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{WebhookAsker: by("bob"), WebhookID: bobs.WebhookID, JobType: &empty, Description: &empty, Events: &all})
	require.Equal(t, []string{"*"}, plain.Events)
	require.Empty(t, plain.JobType+plain.Description)
	call[struct{}](h, contract.RPCWebhookDelete, contract.WebhookRequest{WebhookAsker: admin("root"), WebhookID: bobs.WebhookID})
	refused(h, fault.NotFound, contract.RPCWebhook, contract.WebhookRequest{WebhookAsker: by("bob"), WebhookID: bobs.WebhookID})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	h := start(t)
	for range contract.MaxWebhooksOfOwner {
		h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://example.com"})
	}
	require.Contains(t, refused(h, fault.Conflict, contract.RPCWebhookCreate, contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://example.com"}), "20 webhooks")
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("bob"), URL: "https://example.com"})
	one := call[contract.WebhooksReply](h, contract.RPCWebhooks, contract.ListWebhooksRequest{WebhookAsker: by("ann"), Limit: 1}).Webhooks[0]
	call[struct{}](h, contract.RPCWebhookDelete, contract.WebhookRequest{WebhookAsker: by("ann"), WebhookID: one.WebhookID})
	h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://example.com"})
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := start(t)
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://example.com"})
	const url = "https://example.com"
	for says, req := range map[string]contract.CreateWebhookRequest{
		"url: ":         {URL: "ftp://example.com"},
		"no host":       {URL: "https://"},
		"user name":     {URL: "https://a:b@example.com"},
		"fragment":      {URL: url + "#x"},
		"want 1 to":     {URL: url + "/" + strings.Repeat("x", 2048)},
		"events: ":      {URL: url, Events: []string{"job.progress"}},
		"stands alone":  {URL: url, Events: []string{"*", "job.failed"}},
		"given twice":   {URL: url, Events: []string{"job.failed", "job.failed"}},
		"job_type":      {URL: url, JobType: "a.b"},
		"description: ": {URL: url, Description: strings.Repeat("x", 501)},
		"NUL":           {URL: url, Description: "a\x00"},
		"secret: ":      {URL: url, Secret: "short"},
		"visible ASCII": {URL: url, Secret: strings.Repeat("x", 20) + "\n"},
	} {
		req.WebhookAsker = by("ann")
		require.Contains(t, refused(h, fault.Unprocessable, contract.RPCWebhookCreate, req), says)
		if req.Secret != "" {
			continue
		}
		change := contract.UpdateWebhookRequest{WebhookAsker: by("ann"), WebhookID: hook.WebhookID, URL: &req.URL, Events: &req.Events, JobType: &req.JobType, Description: &req.Description}
		require.Contains(t, refused(h, fault.Unprocessable, contract.RPCWebhookUpdate, change), says)
	}
	refused(h, fault.Forbidden, contract.RPCWebhookCreate, contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: url, All: true})
	for _, who := range []string{"", "a b", "a.b", strings.Repeat("x", 65)} {
		refused(h, fault.Unprocessable, contract.RPCWebhookCreate, contract.CreateWebhookRequest{WebhookAsker: by(who), URL: url})
		refused(h, fault.Unprocessable, contract.RPCWebhooks, contract.ListWebhooksRequest{WebhookAsker: by(who), Limit: 1})
		refused(h, fault.Unprocessable, contract.RPCWebhookSecret, contract.WebhookSecretRequest{Asker: by(who).Asker})
	}
	for _, req := range []contract.ListWebhooksRequest{{Limit: 0}, {Limit: 101}, {Limit: 1, Offset: -1}} {
		req.WebhookAsker = by("ann")
		refused(h, fault.Unprocessable, contract.RPCWebhooks, req)
	}
	for _, req := range []contract.DeliveriesRequest{{Limit: 0}, {Limit: 1001}, {Limit: 1, Status: "lost"}, {Limit: 1, Cursor: "!"}, {Limit: 1, Cursor: "YWJj"}} {
		req.WebhookAsker, req.WebhookID = by("ann"), hook.WebhookID
		refused(h, fault.Unprocessable, contract.RPCWebhookDeliveries, req)
	}
	for _, wrong := range []any{"x", 7, []string{"x"}, map[string]any{"url": 7}, map[string]any{"events": "job.failed"}, map[string]any{"all": "yes"}} {
		refused(h, fault.Invalid, contract.RPCWebhookCreate, wrong)
	}
	require.Empty(t, h.log.String(), "what a caller does wrong is nothing to log")
}

func TestPagesOfDeliveries(t *testing.T) {
	t.Parallel()
	h := start(t)
	r := receive(t, nil)
	hook := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: r.url})
	for range 7 {
		h.publish(job("ann", contract.StatusFailed, 3, id()))
		testkit.Receive(t, r.posts)
	}
	h.eventually(7, "status = 'delivered'")
	seen := map[string]bool{}
	req := contract.DeliveriesRequest{WebhookAsker: by("ann"), WebhookID: hook.WebhookID, Status: "delivered", Limit: 3}
	for pages := 1; ; pages++ {
		page := call[contract.DeliveriesReply](h, contract.RPCWebhookDeliveries, req)
		for i, d := range page.Deliveries {
			require.False(t, seen[d.DeliveryID])
			require.True(t, i == 0 || d.DeliveryID < page.Deliveries[i-1].DeliveryID, "newest first")
			seen[d.DeliveryID] = true
		}
		if page.NextCursor == "" {
			require.Equal(t, 3, pages)
			break
		}
		req.Cursor = page.NextCursor
	}
	require.Len(t, seen, 7)
	req.Cursor, req.Status = "", "failed"
	require.Empty(t, call[contract.DeliveriesReply](h, contract.RPCWebhookDeliveries, req).Deliveries)
}

// leads is a resolver to which every name leads to one address.
type leads string

func (l leads) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(string(l))}, nil
}

// A subscription to which nothing would ever be posted is refused when it is made
// and when its URL is changed.
func TestSubscriptionsLeadToPublicAddresses(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.resolver = leads("8.8.8.8")
	h.service(nil)
	made := h.subscribe(contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://hook.example/1"})
	for _, host := range []string{"127.0.0.1:8000", "localhost", "[::1]", "[64:ff9b::7f00:1]", "10.0.0.1", "127.1", "0x7f000001", "a.localhost.", "metadata.google.internal"} {
		url := "http://" + host + "/hook"
		require.Contains(t, refused(h, fault.Unprocessable, contract.RPCWebhookCreate, contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: url}), "url: its host ", host)
		refused(h, fault.Unprocessable, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{WebhookAsker: by("ann"), WebhookID: made.WebhookID, URL: &url})
	}
	off := false
	call[contract.WebhookWithSecret](h, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{WebhookAsker: by("ann"), WebhookID: made.WebhookID, Enabled: &off})
}

func TestSubscriptionsToNamesThatLeadInside(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.resolver = leads("192.168.1.1")
	h.service(nil)
	says := refused(h, fault.Unprocessable, contract.RPCWebhookCreate, contract.CreateWebhookRequest{WebhookAsker: by("ann"), URL: "https://hook.example/1"})
	require.Contains(t, says, "url: its host leads to no public address")
}
