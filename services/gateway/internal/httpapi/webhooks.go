package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

type createWebhookInput struct {
	Body struct {
		URL         string   `json:"url" minLength:"1" maxLength:"2048" doc:"Where events are posted: http or https, without a user and a fragment." example:"https://example.com/hook"`
		Events      []string `json:"events,omitempty" maxItems:"6" doc:"Kinds such as job.succeeded. Default, and *: all." example:"[\"job.succeeded\",\"job.failed\"]"`
		JobType     string   `json:"job_type,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"Only jobs of this type."`
		Description string   `json:"description,omitempty" maxLength:"500"`
		All         bool     `json:"all,omitempty" doc:"Hear of the jobs of everybody; for admins."`
		Secret      string   `json:"secret,omitempty" minLength:"16" maxLength:"200" doc:"What posts are signed with. Default: one is made."`
	}
}

// webhookAsker is the caller, and whether everybody's webhooks are the caller's
// concern.
func webhookAsker(ctx context.Context) (contract.WebhookAsker, error) {
	by, err := askerOf(ctx)
	if err != nil {
		return contract.WebhookAsker{}, err
	}
	caller, err := callerOf(ctx)
	return contract.WebhookAsker{Asker: by, Admin: caller.Role.Allows(identity.Admin)}, err
}

func (s *Server) createWebhook(ctx context.Context, in *createWebhookInput) (*created[contract.WebhookWithSecret], error) {
	by, err := webhookAsker(ctx)
	if err != nil {
		return nil, err
	}
	b := in.Body
	out, err := ask[contract.WebhookWithSecret](ctx, s, contract.RPCWebhookCreate, contract.CreateWebhookRequest{
		WebhookAsker: by, URL: b.URL, Events: b.Events, JobType: b.JobType, Description: b.Description, All: b.All, Secret: b.Secret,
	})
	if err != nil {
		return nil, err
	}
	return secret(http.StatusCreated, out.Body), nil
}

type webhooksInput struct {
	Limit  int `query:"limit" minimum:"1" maximum:"100" default:"100" doc:"How many at most."`
	Offset int `query:"offset" minimum:"0" maximum:"10000000" default:"0" doc:"How many to pass over."`
}

func (s *Server) listWebhooks(ctx context.Context, in *webhooksInput) (*body[contract.WebhooksReply], error) {
	by, err := webhookAsker(ctx)
	if err != nil {
		return nil, err
	}
	return ask[contract.WebhooksReply](ctx, s, contract.RPCWebhooks, contract.ListWebhooksRequest{WebhookAsker: by, Limit: in.Limit, Offset: in.Offset})
}

func (s *Server) getWebhook(ctx context.Context, in *byID) (*body[contract.Webhook], error) {
	by, err := webhookAsker(ctx)
	if err != nil {
		return nil, err
	}
	return ask[contract.Webhook](ctx, s, contract.RPCWebhook, contract.WebhookRequest{WebhookAsker: by, WebhookID: in.ID})
}

type updateWebhookInput struct {
	ID   string `path:"id" format:"uuid" doc:"The id."`
	Body struct {
		URL          *string   `json:"url,omitempty" minLength:"1" maxLength:"2048"`
		Events       *[]string `json:"events,omitempty" maxItems:"6" doc:"Kinds such as job.succeeded; none, and *: all."`
		Enabled      *bool     `json:"enabled,omitempty" doc:"What happens while a webhook is switched off is never posted."`
		JobType      *string   `json:"job_type,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"Only jobs of this type; empty: of any."`
		Description  *string   `json:"description,omitempty" maxLength:"500"`
		RotateSecret bool      `json:"rotate_secret,omitempty" doc:"Give it a new secret, which the answer shows this once. The old one ends at once."`
	}
}

func (s *Server) updateWebhook(ctx context.Context, in *updateWebhookInput) (*created[contract.WebhookWithSecret], error) {
	by, err := webhookAsker(ctx)
	if err != nil {
		return nil, err
	}
	b := in.Body
	out, err := ask[contract.WebhookWithSecret](ctx, s, contract.RPCWebhookUpdate, contract.UpdateWebhookRequest{
		WebhookAsker: by, WebhookID: in.ID, URL: b.URL, Events: b.Events, Enabled: b.Enabled, JobType: b.JobType, Description: b.Description,
		RotateSecret: b.RotateSecret,
	})
	if err != nil {
		return nil, err
	}
	return secret(http.StatusOK, out.Body), nil
}

func (s *Server) deleteWebhook(ctx context.Context, in *byID) (*none, error) {
	by, err := webhookAsker(ctx)
	if err != nil {
		return nil, err
	}
	_, err = bus.Call[struct{}](ctx, s.deps.NC, contract.RPCWebhookDelete, contract.WebhookRequest{WebhookAsker: by, WebhookID: in.ID})
	if err != nil {
		return nil, err
	}
	return &none{}, nil
}

func (s *Server) webhookSecret(ctx context.Context, _ *none) (*created[contract.WebhookSecret], error) {
	by, err := askerOf(ctx)
	if err != nil {
		return nil, err
	}
	out, err := ask[contract.WebhookSecret](ctx, s, contract.RPCWebhookSecret, contract.WebhookSecretRequest{Asker: by})
	if err != nil {
		return nil, err
	}
	return secret(http.StatusOK, out.Body), nil
}

type deliveriesInput struct {
	ID     string `path:"id" format:"uuid" doc:"The id."`
	Status string `query:"status" enum:"pending,delivered,failed" doc:"Only deliveries in this state."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
	Cursor string `query:"cursor" maxLength:"64" doc:"Go on where the page ended that gave this as next_cursor."`
}

func (s *Server) webhookDeliveries(ctx context.Context, in *deliveriesInput) (*body[contract.DeliveriesReply], error) {
	by, err := webhookAsker(ctx)
	if err != nil {
		return nil, err
	}
	return ask[contract.DeliveriesReply](ctx, s, contract.RPCWebhookDeliveries, contract.DeliveriesRequest{
		WebhookAsker: by, WebhookID: in.ID, Status: in.Status, Limit: in.Limit, Cursor: in.Cursor,
	})
}

type redeliverInput struct {
	ID       string `path:"id" format:"uuid" doc:"The id of the webhook."`
	Delivery string `path:"delivery" format:"uuid" doc:"The id of the delivery."`
}

func (s *Server) redeliver(ctx context.Context, in *redeliverInput) (*body[contract.WebhookDelivery], error) {
	by, err := webhookAsker(ctx)
	if err != nil {
		return nil, err
	}
	return ask[contract.WebhookDelivery](ctx, s, contract.RPCWebhookRedeliver, contract.RedeliverRequest{WebhookAsker: by, WebhookID: in.ID, DeliveryID: in.Delivery})
}

func (s *Server) webhookRoutes() {
	const tag, all, one = "Webhooks", "/api/v1/webhooks", "/api/v1/webhooks/{id}"
	bad := []int{http.StatusUnprocessableEntity}
	gone := []int{http.StatusUnprocessableEntity, http.StatusNotFound}
	clash := []int{http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict}
	register(s, route{method: http.MethodGet, path: all, id: "list-webhooks", summary: "List webhooks, newest first: one's own, for an admin everybody's", tag: tag, errors: bad}, s.listWebhooks)
	register(s, route{
		method: http.MethodPost, path: all, id: "create-webhook", summary: "Have events posted to a URL; the secret is shown this once", tag: tag,
		status: http.StatusCreated, errors: append(bad, http.StatusConflict),
	}, s.createWebhook)
	register(s, route{
		method: http.MethodPost, path: all + "/secret", id: "rotate-webhook-secret", tag: tag,
		summary: "Get a new secret for the webhooks of single jobs; the old one ends at once",
	}, s.webhookSecret)
	register(s, route{method: http.MethodGet, path: one, id: "get-webhook", summary: "Read a webhook", tag: tag, errors: gone}, s.getWebhook)
	register(s, route{method: http.MethodPatch, path: one, id: "update-webhook", summary: "Change a webhook, or give it a new secret", tag: tag, errors: gone}, s.updateWebhook)
	register(s, route{method: http.MethodDelete, path: one, id: "delete-webhook", summary: "End a webhook; its deliveries go with it", tag: tag, errors: gone}, s.deleteWebhook)
	register(s, route{method: http.MethodGet, path: one + "/deliveries", id: "list-deliveries", summary: "List the deliveries of a webhook, newest first", tag: tag, errors: gone}, s.webhookDeliveries)
	register(s, route{
		method: http.MethodPost, path: one + "/deliveries/{delivery}/redeliver", id: "redeliver", summary: "Have a delivery made again, now", tag: tag, errors: clash,
	}, s.redeliver)
}
