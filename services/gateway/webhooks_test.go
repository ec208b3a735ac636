package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

const webhooksURL = "/api/v1/webhooks"

// last is the newest request that a service was asked with.
func last[Req any](t *testing.T, w *world, subject string) Req {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(t, w.asked[subject], subject)
	var req Req
	require.NoError(t, json.Unmarshal(w.asked[subject][len(w.asked[subject])-1], &req))
	return req
}

func TestWebhookOfAJobComesThroughBothDoors(t *testing.T) {
	t.Parallel()
	w, g := start(t, withDoor)
	want := &contract.JobWebhook{URL: "https://example.com/hook", Events: []string{"job.failed"}}
	const hook = `"webhook":{"url":"https://example.com/hook","events":["job.failed"]}`
	g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch",`+hook+`}`)
	require.Equal(t, want, testkit.Receive(t, w.recorded).Webhook)
	g.role(identity.Operator).send(http.MethodPost, batchURL, `{"jobs":[{"job_type":"ingest_batch",`+hook+`}]}`).is(http.StatusOK, nil)
	require.Equal(t, want, testkit.Receive(t, w.recorded).Webhook)
	subject, err := contract.SubmitSubject(ownerOf(identity.Operator), contract.JobIngestBatch)
	require.NoError(t, err)
	_, err = w.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(`{` + hook + `}`)})
	require.NoError(t, err)
	require.Equal(t, want, testkit.Receive(t, w.recorded).Webhook)

	rejected, err := w.nc.SubscribeSync("nexus.events.submit.>")
	require.NoError(t, err)
	require.NoError(t, w.nc.Flush())
	_, err = w.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(`{"webhook":{"url":"file:///etc/passwd"}}`)})
	require.NoError(t, err)
	msg, err := rejected.NextMsg(20 * time.Second)
	require.NoError(t, err)
	require.Contains(t, string(msg.Data), "webhook.url: ")

	for _, bad := range []string{`7`, `"https://example.com"`, `{}`, `{"url":7}`, `{"url":"https://example.com","events":"job.failed"}`, `{"url":"https://example.com","more":1}`} {
		r := g.role(identity.Operator).send(http.MethodPost, submitURL, `{"job_type":"ingest_batch","webhook":`+bad+`}`)
		require.Equal(t, http.StatusUnprocessableEntity, r.status, "%s: %s", bad, r.body)
	}
}

// A hook to which nothing would ever be posted is refused at both doors, unless
// the platform posts to private addresses.
func TestWebhookOfAJobLeadsToAPublicAddress(t *testing.T) {
	t.Parallel()
	w, g := start(t, withDoor)
	c := g.role(identity.Operator)
	inside := []string{"127.0.0.1:9000", "localhost", "[::1]", "[::ffff:10.0.0.1]", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "169.254.169.254", "metadata.google.internal", "127.0.0.1."}
	for _, host := range inside {
		hook := `"webhook":{"url":"http://` + host + `/hook"}`
		for path, body := range map[string]string{submitURL: `{"job_type":"ingest_batch",` + hook + `}`, batchURL: `{"jobs":[{"job_type":"ingest_batch",` + hook + `}]}`} {
			r := c.send(http.MethodPost, path, body)
			r.fails(http.StatusUnprocessableEntity, "validation_error")
			require.Contains(t, string(r.body), "webhook.url: its host ", host)
		}
	}
	rejected, err := w.nc.SubscribeSync("nexus.events.submit.>")
	require.NoError(t, err)
	subject, err := contract.SubmitSubject(ownerOf(identity.Operator), contract.JobIngestBatch)
	require.NoError(t, err)
	_, err = w.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(`{"webhook":{"url":"http://127.0.0.1/"}}`)})
	require.NoError(t, err)
	msg, err := rejected.NextMsg(20 * time.Second)
	require.NoError(t, err)
	require.Contains(t, string(msg.Data), "which is not a public address")

	_, lenient := start(t, func(_ *gateway.Config, d *gateway.Deps) { d.PrivateWebhooks = true })
	for _, host := range inside {
		lenient.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch","webhook":{"url":"http://`+host+`/hook"}}`)
	}
}

func TestWebhookIsPartOfTheRequest(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	hash := func(more string) string {
		g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch","idempotency_key":"k"`+more+`}`)
		return testkit.Receive(t, w.recorded).RequestHash
	}
	none, one := hash(""), hash(`,"webhook":{"url":"https://example.com/1"}`)
	require.NotEqual(t, none, one)
	require.NotEqual(t, one, hash(`,"webhook":{"url":"https://example.com/2"}`))
	require.NotEqual(t, one, hash(`,"webhook":{"url":"https://example.com/1","events":["job.failed"]}`))
	require.Equal(t, hash(`,"webhook":{"url":"https://example.com/1","events":["job.failed","job.queued"]}`), hash(`,"webhook":{"url":"https://example.com/1","events":["job.queued","job.failed"]}`))
}

func TestWebhookRequestsCarryWhoAsks(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	r := g.role(identity.Operator).send(http.MethodPost, webhooksURL, `{"url":"https://example.com","events":["job.failed"],"job_type":"analyze","description":"d","secret":"0123456789abcdef"}`)
	r.is(http.StatusCreated, nil)
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	require.Contains(t, string(r.body), "shown once")
	made := last[contract.CreateWebhookRequest](t, w, contract.RPCWebhookCreate)
	require.Equal(t, ownerOf(identity.Operator), made.Actor)
	require.False(t, made.Admin)
	require.NotEmpty(t, made.RequestID)
	require.Equal(t, "0123456789abcdef", made.Secret)
	require.Equal(t, "analyze", made.JobType)

	id, delivery := uuid.NewString(), uuid.NewString()
	g.role(identity.Admin).send(http.MethodPatch, webhooksURL+"/"+id, `{"job_type":"","enabled":false,"rotate_secret":true,"events":[]}`).is(http.StatusOK, nil)
	change := last[contract.UpdateWebhookRequest](t, w, contract.RPCWebhookUpdate)
	require.True(t, change.Admin)
	require.Equal(t, id, change.WebhookID)
	require.Empty(t, *change.JobType)
	require.False(t, *change.Enabled)
	require.True(t, change.RotateSecret)
	require.Empty(t, *change.Events)
	require.Nil(t, change.URL)

	g.role(identity.Operator).send(http.MethodGet, webhooksURL+"/"+id+"/deliveries?status=failed&limit=7&cursor=abc", "").is(http.StatusOK, nil)
	list := last[contract.DeliveriesRequest](t, w, contract.RPCWebhookDeliveries)
	require.Equal(t, contract.DeliveriesRequest{WebhookAsker: list.WebhookAsker, WebhookID: id, Status: "failed", Limit: 7, Cursor: "abc"}, list)
	g.role(identity.Operator).send(http.MethodPost, webhooksURL+"/"+id+"/deliveries/"+delivery+"/redeliver", "").is(http.StatusOK, nil)
	require.Equal(t, delivery, last[contract.RedeliverRequest](t, w, contract.RPCWebhookRedeliver).DeliveryID)
	r = g.role(identity.Operator).send(http.MethodPost, webhooksURL+"/secret", "")
	r.is(http.StatusOK, nil)
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	r = g.role(identity.Operator).send(http.MethodDelete, webhooksURL+"/"+id, "")
	r.is(http.StatusNoContent, nil)
	require.Empty(t, r.body)
}

func TestBadWebhookRequests(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c, id := g.role(identity.Operator), uuid.NewString()
	for _, bad := range []string{
		`{}`, `[]`, `"x"`, `{"url":7}`, `{"url":""}`, `{"url":"` + strings.Repeat("x", 2049) + `"}`, `{"url":"https://e.com","events":"job.failed"}`,
		`{"url":"https://e.com","events":[7]}`, `{"url":"https://e.com","events":["1","2","3","4","5","6","7"]}`, `{"url":"https://e.com","secret":"short"}`,
		`{"url":"https://e.com","secret":"` + strings.Repeat("x", 201) + `"}`, `{"url":"https://e.com","description":"` + strings.Repeat("x", 501) + `"}`,
		`{"url":"https://e.com","job_type":"a b"}`, `{"url":"https://e.com","all":"yes"}`, `{"url":"https://e.com","owner":"bob"}`,
	} {
		r := c.send(http.MethodPost, webhooksURL, bad)
		require.Equal(t, http.StatusUnprocessableEntity, r.status, "%s: %s", bad, r.body)
	}
	for _, bad := range []string{`[]`, `{"url":null,"enabled":"no"}`, `{"enabled":7}`, `{"events":7}`, `{"rotate_secret":1}`, `{"all":true}`, `{"secret":"0123456789abcdef"}`} {
		r := c.send(http.MethodPatch, webhooksURL+"/"+id, bad)
		require.Equal(t, http.StatusUnprocessableEntity, r.status, "%s: %s", bad, r.body)
	}
	for _, url := range []string{"/" + id + "/deliveries?status=odd", "/" + id + "/deliveries?limit=0", "/" + id + "/deliveries?limit=1001", "?limit=101", "?offset=-1"} {
		c.send(http.MethodGet, webhooksURL+url, "").fails(http.StatusUnprocessableEntity, "validation_error")
	}
	c.send(http.MethodGet, webhooksURL+"/nope", "").fails(http.StatusNotFound, "not_found")
	w.mu.Lock()
	require.Empty(t, w.asked[contract.RPCWebhook])
	require.Empty(t, w.asked[contract.RPCWebhookCreate])
	require.Empty(t, w.asked[contract.RPCWebhookUpdate])
	w.mu.Unlock()

	w.answer(contract.RPCWebhookCreate, refuses(fault.Conflictf("There are 20 webhooks already")))
	c.send(http.MethodPost, webhooksURL, `{"url":"https://e.com"}`).fails(http.StatusConflict, "conflict")
	for _, role := range []identity.Role{identity.Viewer} {
		g.role(role).send(http.MethodPost, webhooksURL, `{"url":"https://e.com"}`).fails(http.StatusForbidden, "forbidden")
		g.role(role).send(http.MethodGet, webhooksURL, "").fails(http.StatusForbidden, "forbidden")
	}
}
