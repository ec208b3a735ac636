// Package manage answers the requests of owners and admins: it makes, changes
// and ends subscriptions, and shows and repeats deliveries. Each change is an
// event in the name of whoever made it; a secret is shown once.
package manage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/webhooks/internal/hook"
	"nexus.internal/services/webhooks/internal/store"
)

// Store is where subscriptions are kept.
type Store interface {
	Find(ctx context.Context, id uuid.UUID, owner string) (hook.Subscription, error)
	List(ctx context.Context, owner string, limit, offset int) ([]hook.Subscription, error)
	Create(ctx context.Context, n hook.Subscription, most int, tell store.Tell) (hook.Subscription, error)
	Change(ctx context.Context, id uuid.UUID, owner string, edit func(*hook.Subscription) error, tell store.Tell) (hook.Subscription, error)
	Delete(ctx context.Context, id uuid.UUID, owner string, tell store.Tell) error
	SetSecret(ctx context.Context, owner, secret string, message bus.Message) error
	Deliveries(ctx context.Context, sub uuid.UUID, status string, before uuid.UUID, limit int) ([]contract.WebhookDelivery, error)
	Redeliver(ctx context.Context, sub, id uuid.UUID) (contract.WebhookDelivery, error)
}

// Manager answers requests. What role it takes was decided at the door.
type Manager struct {
	store Store
	// changed is called after every change, before it is answered.
	changed func(ctx context.Context)
	// wake is called when a delivery may be due.
	wake func()
	// reachable reports, in words about a URL, that a host will not be posted to.
	reachable func(ctx context.Context, host string) error
	now       func() time.Time
}

// New makes a manager.
func New(st Store, changed func(ctx context.Context), wake func(), reachable func(ctx context.Context, host string) error, now func() time.Time) *Manager {
	return &Manager{store: st, changed: changed, wake: wake, reachable: reachable, now: now}
}

const (
	// maxWebhooks bounds a page of subscriptions: that many of the longest fit
	// into one message.
	maxWebhooks = 100
	// maxDeliveries bounds a page of deliveries.
	maxDeliveries = 1000
)

// scope is whose subscriptions a request may see; empty for everybody's.
func scope(by contract.WebhookAsker) string {
	if by.Admin {
		return ""
	}
	return by.Actor
}

// known refuses requests in nobody's name: they would see everything.
func known(by contract.Asker) error {
	if !contract.ValidToken(by.Actor) {
		return fault.Unprocessablef("actor must have 1 to %d of a-z A-Z 0-9 _ -", contract.MaxToken)
	}
	return nil
}

// Create makes a subscription.
func (m *Manager) Create(ctx context.Context, req contract.CreateWebhookRequest) (contract.WebhookWithSecret, error) {
	if err := known(req.Asker); err != nil {
		return contract.WebhookWithSecret{}, err
	}
	if req.All && !req.Admin {
		return contract.WebhookWithSecret{}, fault.Forbiddenf("Only an admin may hear of the jobs of everybody")
	}
	if err := check(&req.URL, &req.Events, &req.JobType, &req.Description); err != nil {
		return contract.WebhookWithSecret{}, err
	}
	if err := m.checkHost(ctx, &req.URL); err != nil {
		return contract.WebhookWithSecret{}, err
	}
	secret, err := chosen(req.Secret)
	if err != nil {
		return contract.WebhookWithSecret{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return contract.WebhookWithSecret{}, fmt.Errorf("make a webhook id: %w", err)
	}
	after, err := m.store.Create(ctx, hook.Subscription{
		ID: id, Owner: req.Actor, URL: req.URL, Events: hook.Kinds(req.Events), JobType: req.JobType, Description: req.Description, All: req.All, Secret: secret,
	}, contract.MaxWebhooksOfOwner, func(after hook.Subscription) (bus.Message, error) {
		return m.message(ctx, contract.WhatCreated, req.Asker, nil, after)
	})
	if err != nil {
		return contract.WebhookWithSecret{}, refusal(err)
	}
	m.changed(ctx)
	return contract.WebhookWithSecret{Webhook: after.Shown(), Secret: secret}, nil
}

// chosen is the secret that was asked for, or a new one.
func chosen(secret string) (string, error) {
	if secret == "" {
		return hook.NewSecret()
	}
	if err := contract.CheckWebhookSecret(secret); err != nil {
		return "", fault.Unprocessablef("secret: %s", err)
	}
	return secret, nil
}

// check refuses what a subscription cannot hold, naming the field. What is nil is
// not asked for.
func check(url *string, events *[]string, jobType, description *string) error {
	if url != nil {
		if err := contract.CheckWebhookURL(*url); err != nil {
			return fault.Unprocessablef("url: %s", err)
		}
	}
	if events != nil {
		if err := contract.CheckWebhookEvents(*events); err != nil {
			return fault.Unprocessablef("events: %s", err)
		}
	}
	if jobType != nil && *jobType != "" && !contract.ValidToken(*jobType) {
		return fault.Unprocessablef("job_type must have 1 to %d of a-z A-Z 0-9 _ -", contract.MaxToken)
	}
	if description != nil {
		if err := contract.CheckWebhookDescription(*description); err != nil {
			return fault.Unprocessablef("description: %s", err)
		}
	}
	return nil
}

// checkHost refuses a URL to which nothing would ever be posted.
func (m *Manager) checkHost(ctx context.Context, url *string) error {
	if url == nil {
		return nil
	}
	if err := m.reachable(ctx, contract.WebhookName(*url)); err != nil {
		return fault.Unprocessablef("url: %s", err)
	}
	return nil
}

// List is a page of subscriptions, newest first: one's own, for an admin
// everybody's.
func (m *Manager) List(ctx context.Context, req contract.ListWebhooksRequest) (contract.WebhooksReply, error) {
	if err := known(req.Asker); err != nil {
		return contract.WebhooksReply{}, err
	}
	if req.Limit < 1 || req.Limit > maxWebhooks || req.Offset < 0 {
		return contract.WebhooksReply{}, fault.Unprocessablef("limit is %d and offset %d: want 1 to %d, and 0 or more", req.Limit, req.Offset, maxWebhooks)
	}
	found, err := m.store.List(ctx, scope(req.WebhookAsker), req.Limit, req.Offset)
	if err != nil {
		return contract.WebhooksReply{}, err
	}
	out := contract.WebhooksReply{Webhooks: make([]contract.Webhook, len(found)), Limit: req.Limit, Offset: req.Offset}
	for i, s := range found {
		out.Webhooks[i] = s.Shown()
	}
	return out, nil
}

// Get is one subscription.
func (m *Manager) Get(ctx context.Context, req contract.WebhookRequest) (contract.Webhook, error) {
	found, err := m.find(ctx, req.WebhookAsker, req.WebhookID)
	if err != nil {
		return contract.Webhook{}, err
	}
	return found.Shown(), nil
}

// find is a subscription that the asker may see. That of somebody else is not
// there.
func (m *Manager) find(ctx context.Context, by contract.WebhookAsker, text string) (hook.Subscription, error) {
	id, err := parse(by, text)
	if err != nil {
		return hook.Subscription{}, err
	}
	found, err := m.store.Find(ctx, id, scope(by))
	return found, refusal(err)
}

func parse(by contract.WebhookAsker, text string) (uuid.UUID, error) {
	if err := known(by.Asker); err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, refusal(store.ErrUnknown)
	}
	return id, nil
}

// Update changes a subscription.
func (m *Manager) Update(ctx context.Context, req contract.UpdateWebhookRequest) (contract.WebhookWithSecret, error) {
	id, err := parse(req.WebhookAsker, req.WebhookID)
	if err != nil {
		return contract.WebhookWithSecret{}, err
	}
	if err := check(req.URL, req.Events, req.JobType, req.Description); err != nil {
		return contract.WebhookWithSecret{}, err
	}
	if err := m.checkHost(ctx, req.URL); err != nil {
		return contract.WebhookWithSecret{}, err
	}
	var secret string
	if req.RotateSecret {
		if secret, err = hook.NewSecret(); err != nil {
			return contract.WebhookWithSecret{}, err
		}
	}
	var changed []string
	after, err := m.store.Change(ctx, id, scope(req.WebhookAsker), func(s *hook.Subscription) error {
		if s.All && !req.Admin {
			return fault.Forbiddenf("Only an admin may change what hears of the jobs of everybody; it can be deleted")
		}
		changed = edit(s, req, secret)
		return nil
	}, func(after hook.Subscription) (bus.Message, error) {
		return m.message(ctx, what(changed, after), req.Asker, changed, after)
	})
	if err != nil {
		return contract.WebhookWithSecret{}, refusal(err)
	}
	m.changed(ctx)
	return contract.WebhookWithSecret{Webhook: after.Shown(), Secret: secret}, nil
}

// edit makes the changes asked for and names the fields that are new.
func edit(s *hook.Subscription, req contract.UpdateWebhookRequest, secret string) (changed []string) {
	before := *s
	if req.URL != nil {
		s.URL = *req.URL
	}
	if req.Events != nil {
		s.Events = hook.Kinds(*req.Events)
	}
	if req.JobType != nil {
		s.JobType = *req.JobType
	}
	if req.Description != nil {
		s.Description = *req.Description
	}
	if req.Enabled != nil {
		s.Enabled, s.DisabledReason = *req.Enabled, ""
	}
	if secret != "" {
		s.Secret = secret
	}
	for _, field := range []struct {
		name string
		same bool
	}{
		{"url", before.URL == s.URL},
		{"events", slices.Equal(before.Events, s.Events)},
		{"job_type", before.JobType == s.JobType},
		{"description", before.Description == s.Description},
		{"enabled", before.Enabled == s.Enabled},
		{"secret", before.Secret == s.Secret},
	} {
		if !field.same {
			changed = append(changed, field.name)
		}
	}
	return changed
}

// what is the event of a change: switching on or off, and a new secret, have
// names of their own.
func what(changed []string, after hook.Subscription) string {
	switch {
	case slices.Contains(changed, "enabled") && after.Enabled:
		return contract.WhatEnabled
	case slices.Contains(changed, "enabled"):
		return contract.WhatDisabled
	case slices.Equal(changed, []string{"secret"}):
		return contract.WhatRotated
	default:
		return contract.WhatUpdated
	}
}

// Delete ends a subscription; its deliveries go with it.
func (m *Manager) Delete(ctx context.Context, req contract.WebhookRequest) (struct{}, error) {
	id, err := parse(req.WebhookAsker, req.WebhookID)
	if err != nil {
		return struct{}{}, err
	}
	err = m.store.Delete(ctx, id, scope(req.WebhookAsker), func(before hook.Subscription) (bus.Message, error) {
		before.Enabled = false
		return m.message(ctx, contract.WhatDeleted, req.Asker, nil, before)
	})
	if err != nil {
		return struct{}{}, refusal(err)
	}
	m.changed(ctx)
	return struct{}{}, nil
}

// service is who changes a subscription when nobody asked for it.
const service = "nexus.webhooks"

// Disable switches a subscription off because it is of no use, and says why. One
// that is off stays as it is.
func (m *Manager) Disable(ctx context.Context, id uuid.UUID, reason string) error {
	errOff := errors.New("it is off already")
	_, err := m.store.Change(ctx, id, "", func(s *hook.Subscription) error {
		if !s.Enabled {
			return errOff
		}
		s.Enabled, s.DisabledReason = false, reason
		return nil
	}, func(after hook.Subscription) (bus.Message, error) {
		return m.message(ctx, contract.WhatDisabled, contract.Asker{Actor: service}, []string{"enabled"}, after)
	})
	if errors.Is(err, errOff) {
		return nil
	}
	if err == nil {
		m.changed(ctx)
	}
	return err
}

// Secret gives the asker a new secret for the hooks of single jobs. The old one
// ends at once.
func (m *Manager) Secret(ctx context.Context, req contract.WebhookSecretRequest) (contract.WebhookSecret, error) {
	if err := known(req.Asker); err != nil {
		return contract.WebhookSecret{}, err
	}
	secret, err := hook.NewSecret()
	if err != nil {
		return contract.WebhookSecret{}, err
	}
	message, err := m.event(ctx, contract.WhatRotated, req.Asker, contract.WebhookChange{
		Owner: req.Actor, Enabled: true, Changed: []string{"secret"}, Address: req.Address,
	})
	if err != nil {
		return contract.WebhookSecret{}, err
	}
	if err := m.store.SetSecret(ctx, req.Actor, secret, message); err != nil {
		return contract.WebhookSecret{}, err
	}
	return contract.WebhookSecret{Owner: req.Actor, Secret: secret}, nil
}

// refusal turns what the store refuses into answers.
func refusal(err error) error {
	switch {
	case errors.Is(err, store.ErrUnknown):
		return fault.NotFoundf("Webhook not found")
	case errors.Is(err, store.ErrTooMany):
		return fault.Conflictf("There are %d webhooks already, which is the most that one owner may have", contract.MaxWebhooksOfOwner)
	default:
		return err
	}
}
