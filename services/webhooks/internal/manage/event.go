package manage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/webhooks/internal/hook"
)

// message is the event of a changed subscription. It holds neither the secret nor
// the URL.
func (m *Manager) message(ctx context.Context, what string, by contract.Asker, changed []string, after hook.Subscription) (bus.Message, error) {
	if changed == nil {
		changed = []string{}
	}
	shown := after.Shown()
	return m.event(ctx, what, by, contract.WebhookChange{
		WebhookID: shown.WebhookID, Owner: after.Owner, Host: contract.WebhookHost(after.URL), Events: shown.Events, JobType: after.JobType, All: after.All,
		Enabled: after.Enabled, DisabledReason: after.DisabledReason, Changed: changed, Address: by.Address,
	})
}

func (m *Manager) event(ctx context.Context, what string, by contract.Asker, change contract.WebhookChange) (bus.Message, error) {
	data, err := json.Marshal(change)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode the event of webhook %s: %w", change.WebhookID, err)
	}
	return bus.EventMessage(contract.AreaWebhook, what, change.Owner, contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaWebhook, what), Time: m.now().UTC(), Source: service,
		Actor: by.Actor, RequestID: by.RequestID, TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
}
