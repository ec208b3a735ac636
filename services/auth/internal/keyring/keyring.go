// Package keyring lets admins make, change and end API keys. Each change is an
// event in the admin's name; a secret is shown once and never kept.
package keyring

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/auth/internal/store"
)

// Store is where keys are kept.
type Store interface {
	FindByID(ctx context.Context, id uuid.UUID) (store.Key, error)
	List(ctx context.Context, limit, offset int) ([]store.Key, error)
	Create(ctx context.Context, k store.Key, tell store.Tell) (store.Key, error)
	Change(ctx context.Context, id uuid.UUID, edit func(*store.Key) error, tell store.Tell) (store.Key, error)
}

// Keyring answers the requests of admins. Who is one was decided at the door.
type Keyring struct {
	store Store
	now   func() time.Time
}

// New makes a keyring.
func New(st Store, now func() time.Time) *Keyring { return &Keyring{st, now} }

// maxLimit bounds one page of keys.
const maxLimit = 1000

// List is a page of keys, newest first.
func (k *Keyring) List(ctx context.Context, req contract.ListKeysRequest) (contract.KeysReply, error) {
	if req.Limit < 1 || req.Limit > maxLimit || req.Offset < 0 {
		return contract.KeysReply{}, fault.Unprocessablef("limit is %d and offset %d: want 1 to %d, and 0 or more", req.Limit, req.Offset, maxLimit)
	}
	keys, err := k.store.List(ctx, req.Limit, req.Offset)
	if err != nil {
		return contract.KeysReply{}, err
	}
	out := contract.KeysReply{Keys: make([]contract.APIKey, len(keys)), Limit: req.Limit, Offset: req.Offset}
	for i, key := range keys {
		out.Keys[i] = shown(key)
	}
	return out, nil
}

// Get is one key.
func (k *Keyring) Get(ctx context.Context, req contract.KeyRequest) (contract.APIKey, error) {
	id, err := parseID(req.KeyID)
	if err != nil {
		return contract.APIKey{}, err
	}
	key, err := k.store.FindByID(ctx, id)
	if err != nil {
		return contract.APIKey{}, refusal(err)
	}
	return shown(key), nil
}

// Create makes a key for an owner who has none.
func (k *Keyring) Create(ctx context.Context, req contract.CreateKeyRequest) (contract.CreatedKey, error) {
	if !contract.ValidToken(req.Owner) {
		return contract.CreatedKey{}, fault.Unprocessablef("owner must have 1 to %d of a-z A-Z 0-9 _ -", contract.MaxToken)
	}
	role, err := identity.ParseKeyRole(req.Role)
	if err != nil {
		return contract.CreatedKey{}, fault.Unprocessablef("%s", err)
	}
	if err := k.check(req.RateLimitPerMinute, req.ExpiresAt); err != nil {
		return contract.CreatedKey{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return contract.CreatedKey{}, fmt.Errorf("make a key id: %w", err)
	}
	secret := newSecret(id)
	after, err := k.store.Create(ctx, store.Key{
		ID: id, Owner: req.Owner, KeyHash: identity.HashKey(secret), Role: role, RawModeEnabled: req.RawModeEnabled,
		RateLimitPerMinute: req.RateLimitPerMinute, ExpiresAt: req.ExpiresAt, CreatedBy: req.Actor,
	}, func(after store.Key) (bus.Message, error) {
		return k.message(ctx, contract.WhatCreated, req.Asker, nil, after)
	})
	if err != nil {
		return contract.CreatedKey{}, refusal(err)
	}
	return contract.CreatedKey{APIKey: shown(after), Key: secret}, nil
}

// newSecret makes the plaintext of a key: its id, so that a found key can be
// ended without knowing more, and 130 random bits.
func newSecret(id uuid.UUID) string {
	return contract.KeyPrefix + strings.ReplaceAll(id.String(), "-", "") + "_" + strings.ToLower(rand.Text())
}

// Update changes a key.
func (k *Keyring) Update(ctx context.Context, req contract.UpdateKeyRequest) (contract.APIKey, error) {
	id, err := parseID(req.KeyID)
	if err != nil {
		return contract.APIKey{}, err
	}
	if err := k.check(req.RateLimitPerMinute, req.ExpiresAt); err != nil {
		return contract.APIKey{}, err
	}
	if req.Role != nil {
		if _, err := identity.ParseKeyRole(*req.Role); err != nil {
			return contract.APIKey{}, fault.Unprocessablef("%s", err)
		}
	}
	var changed []string
	after, err := k.store.Change(ctx, id, func(key *store.Key) error {
		changed = edit(key, req)
		return nil
	}, func(after store.Key) (bus.Message, error) {
		return k.message(ctx, what(changed, after), req.Asker, changed, after)
	})
	if err != nil {
		return contract.APIKey{}, refusal(err)
	}
	return shown(after), nil
}

// edit makes the changes asked for and names the fields that are new.
func edit(key *store.Key, req contract.UpdateKeyRequest) (changed []string) {
	before := *key
	if req.Enabled != nil {
		key.Enabled = *req.Enabled
	}
	if req.Role != nil {
		key.Role = identity.Role(*req.Role)
	}
	if req.RawModeEnabled != nil {
		key.RawModeEnabled = *req.RawModeEnabled
	}
	if req.RateLimitPerMinute != nil || req.ClearRateLimit {
		key.RateLimitPerMinute = req.RateLimitPerMinute
	}
	if req.ExpiresAt != nil || req.ClearExpiry {
		key.ExpiresAt = req.ExpiresAt
	}
	for _, field := range []struct {
		name string
		same bool
	}{
		{"enabled", before.Enabled == key.Enabled},
		{"role", before.Role == key.Role},
		{"raw_mode_enabled", before.RawModeEnabled == key.RawModeEnabled},
		{"rate_limit_per_minute", equal(before.RateLimitPerMinute, key.RateLimitPerMinute)},
		{"expires_at", (before.ExpiresAt == nil) == (key.ExpiresAt == nil) && (key.ExpiresAt == nil || before.ExpiresAt.Equal(*key.ExpiresAt))},
	} {
		if !field.same {
			changed = append(changed, field.name)
		}
	}
	return changed
}

func equal(a, b *int) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// what is the event of a change: switching a key on or off has a name of its own.
func what(changed []string, after store.Key) string {
	switch {
	case !slices.Contains(changed, "enabled"):
		return contract.WhatUpdated
	case after.Enabled:
		return contract.WhatEnabled
	default:
		return contract.WhatDisabled
	}
}

// Rotate gives a key a new secret. The old one ends at once.
func (k *Keyring) Rotate(ctx context.Context, req contract.RotateKeyRequest) (contract.CreatedKey, error) {
	id, err := parseID(req.KeyID)
	if err != nil {
		return contract.CreatedKey{}, err
	}
	secret := newSecret(id)
	after, err := k.store.Change(ctx, id, func(key *store.Key) error {
		key.KeyHash = identity.HashKey(secret)
		return nil
	}, func(after store.Key) (bus.Message, error) {
		return k.message(ctx, contract.WhatRotated, req.Asker, []string{"key"}, after)
	})
	if err != nil {
		return contract.CreatedKey{}, refusal(err)
	}
	return contract.CreatedKey{APIKey: shown(after), Key: secret}, nil
}

func (k *Keyring) check(limit *int, expires *time.Time) error {
	if limit != nil && (*limit < 1 || *limit > contract.MaxRateLimit) {
		return fault.Unprocessablef("rate_limit_per_minute is %d: want 1 to %d", *limit, contract.MaxRateLimit)
	}
	if expires != nil && !expires.After(k.now()) {
		return fault.Unprocessablef("expires_at is in the past; disable a key to end it at once")
	}
	if expires != nil && !contract.ValidTime(*expires) {
		return fault.Unprocessablef("expires_at is too far in the future")
	}
	return nil
}

func parseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil {
		return id, fault.NotFoundf("Key not found")
	}
	return id, nil
}

// refusal turns what the store refuses into answers.
func refusal(err error) error {
	switch {
	case errors.Is(err, store.ErrUnknown):
		return fault.NotFoundf("Key not found")
	case errors.Is(err, store.ErrTaken):
		return fault.Conflictf("This owner has a key already; rotate it, or choose another owner")
	case errors.Is(err, store.ErrLastAdmin):
		return fault.Conflictf("This is the last admin key that is enabled and does not expire; nobody could undo this")
	default:
		return err
	}
}

func shown(k store.Key) contract.APIKey {
	return contract.APIKey{
		KeyID: k.ID.String(), Owner: k.Owner, Role: string(k.Role), RawModeEnabled: k.RawModeEnabled, Enabled: k.Enabled,
		RateLimitPerMinute: k.RateLimitPerMinute, ExpiresAt: utc(k.ExpiresAt), KeyHashPrefix: identity.HashPrefix(k.KeyHash),
		CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt.UTC(), UpdatedAt: k.UpdatedAt.UTC(), LastUsedAt: utc(k.LastUsedAt),
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// message is the event of a changed key.
func (k *Keyring) message(ctx context.Context, what string, by contract.Asker, changed []string, after store.Key) (bus.Message, error) {
	if changed == nil {
		changed = []string{}
	}
	data, err := json.Marshal(contract.KeyChange{APIKey: shown(after), Changed: changed, RequestID: by.RequestID, Address: by.Address})
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode the event of key %s: %w", after.ID, err)
	}
	return bus.EventMessage(contract.AreaKey, what, string(after.Role), contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaKey, what), Time: k.now().UTC(), Source: "nexus.auth",
		Actor: by.Actor, RequestID: by.RequestID, TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
}
