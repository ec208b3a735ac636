package manage

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/webhooks/internal/store"
)

// Deliveries is a page of the deliveries of a subscription, newest first.
func (m *Manager) Deliveries(ctx context.Context, req contract.DeliveriesRequest) (contract.DeliveriesReply, error) {
	switch contract.DeliveryStatus(req.Status) {
	case "", contract.DeliveryPending, contract.DeliveryDelivered, contract.DeliveryFailed:
	default:
		return contract.DeliveriesReply{}, fault.Unprocessablef("status is '%s': want pending, delivered or failed", contract.Cut(req.Status, 64))
	}
	if req.Limit < 1 || req.Limit > maxDeliveries {
		return contract.DeliveriesReply{}, fault.Unprocessablef("limit is %d: want 1 to %d", req.Limit, maxDeliveries)
	}
	before, err := placeOf(req.Cursor)
	if err != nil {
		return contract.DeliveriesReply{}, err
	}
	sub, err := m.find(ctx, req.WebhookAsker, req.WebhookID)
	if err != nil {
		return contract.DeliveriesReply{}, err
	}
	found, err := m.store.Deliveries(ctx, sub.ID, req.Status, before, req.Limit+1)
	if err != nil {
		return contract.DeliveriesReply{}, err
	}
	out := contract.DeliveriesReply{Deliveries: found, Limit: req.Limit}
	if len(found) > req.Limit {
		out.Deliveries = found[:req.Limit]
		if out.NextCursor, err = cursorOf(out.Deliveries[req.Limit-1]); err != nil {
			return contract.DeliveriesReply{}, err
		}
	}
	return out, nil
}

// cursorOf names the place behind a delivery.
func cursorOf(d contract.WebhookDelivery) (string, error) {
	id, err := uuid.Parse(d.DeliveryID)
	return base64.RawURLEncoding.EncodeToString(id[:]), err
}

func placeOf(cursor string) (uuid.UUID, error) {
	if cursor == "" {
		return uuid.Nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		var id uuid.UUID
		if id, err = uuid.FromBytes(text); err == nil {
			return id, nil
		}
	}
	return uuid.Nil, fault.Unprocessablef("cursor is not one that a page of this list has given")
}

// Redeliver has a delivery made again, from its first attempt.
func (m *Manager) Redeliver(ctx context.Context, req contract.RedeliverRequest) (contract.WebhookDelivery, error) {
	sub, err := m.find(ctx, req.WebhookAsker, req.WebhookID)
	if err != nil {
		return contract.WebhookDelivery{}, err
	}
	id, err := uuid.Parse(req.DeliveryID)
	if err != nil {
		return contract.WebhookDelivery{}, fault.NotFoundf("Delivery not found")
	}
	if !sub.Enabled {
		return contract.WebhookDelivery{}, fault.Conflictf("The webhook is switched off; switch it on first")
	}
	d, err := m.store.Redeliver(ctx, sub.ID, id)
	if errors.Is(err, store.ErrUnknown) {
		return contract.WebhookDelivery{}, fault.NotFoundf("Delivery not found")
	}
	if err != nil {
		return contract.WebhookDelivery{}, err
	}
	m.wake()
	return d, nil
}
