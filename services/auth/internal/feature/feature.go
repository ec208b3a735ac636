// Package feature answers which features are open to whom, and lets admins turn
// them. Settings that outrank a feature are known where the feature is used.
package feature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/auth/internal/store"
)

// maxDescription is the longest description, in bytes.
const maxDescription = 500

// Store is where features and keys are kept.
type Store interface {
	Features(ctx context.Context) ([]store.Feature, error)
	Feature(ctx context.Context, name string) (store.Feature, error)
	ChangeFeature(ctx context.Context, name, actor string, edit func(*store.Feature), tell func(store.Feature) (bus.Message, error)) (store.Feature, error)
	FindByOwner(ctx context.Context, owner string) (store.Key, error)
}

// Switches answers about features.
type Switches struct {
	store Store
	now   func() time.Time
}

// New makes them.
func New(st Store, now func() time.Time) *Switches { return &Switches{st, now} }

// List is every feature.
func (s *Switches) List(ctx context.Context, _ struct{}) (contract.FeaturesReply, error) {
	features, err := s.store.Features(ctx)
	if err != nil {
		return contract.FeaturesReply{}, err
	}
	out := contract.FeaturesReply{Features: make([]contract.Feature, len(features))}
	for i, f := range features {
		out.Features[i] = shown(f)
	}
	return out, nil
}

// Allowed answers whether a feature is open to an owner now.
func (s *Switches) Allowed(ctx context.Context, req contract.AllowedRequest) (contract.AllowedReply, error) {
	if !contract.ValidToken(req.Feature) || !contract.ValidToken(req.Owner) {
		return contract.AllowedReply{}, nil
	}
	f, err := s.store.Feature(ctx, req.Feature)
	if errors.Is(err, store.ErrUnknown) {
		return contract.AllowedReply{}, nil
	}
	if err != nil {
		return contract.AllowedReply{}, err
	}
	key, err := s.store.FindByOwner(ctx, req.Owner)
	if errors.Is(err, store.ErrUnknown) {
		return contract.AllowedReply{}, nil
	}
	if err != nil {
		return contract.AllowedReply{}, err
	}
	return contract.AllowedReply{Allowed: f.Enabled && key.Good(s.now()) && key.Role.Allows(f.MinRole)}, nil
}

// Update turns a feature.
func (s *Switches) Update(ctx context.Context, req contract.UpdateFeatureRequest) (contract.Feature, error) {
	if err := check(req); err != nil {
		return contract.Feature{}, err
	}
	after, err := s.store.ChangeFeature(ctx, req.Name, req.Actor, func(f *store.Feature) {
		if req.Enabled != nil {
			f.Enabled = *req.Enabled
		}
		if req.MinRole != nil {
			f.MinRole = identity.Role(*req.MinRole)
		}
		if req.Description != nil {
			f.Description = *req.Description
		}
	}, func(after store.Feature) (bus.Message, error) { return s.tell(ctx, after, req.Asker) })
	if errors.Is(err, store.ErrUnknown) {
		return contract.Feature{}, fault.NotFoundf("Feature not found")
	}
	if err != nil {
		return contract.Feature{}, err
	}
	return shown(after), nil
}

func check(req contract.UpdateFeatureRequest) error {
	if !contract.ValidToken(req.Name) {
		return fault.NotFoundf("Feature not found")
	}
	if req.MinRole != nil {
		if _, err := identity.ParseRole(*req.MinRole); err != nil {
			return fault.Unprocessablef("%s", err)
		}
	}
	if d := req.Description; d != nil {
		if len(*d) > maxDescription || !utf8.ValidString(*d) {
			return fault.Unprocessablef("description must be at most %d bytes of UTF-8", maxDescription)
		}
		for _, r := range *d {
			if unicode.IsControl(r) {
				return fault.Unprocessablef("description must hold no control characters")
			}
		}
	}
	return nil
}

func shown(f store.Feature) contract.Feature {
	return contract.Feature{
		Name: f.Name, Enabled: f.Enabled, MinRole: string(f.MinRole), Description: f.Description, UpdatedAt: f.UpdatedAt.UTC(), UpdatedBy: f.UpdatedBy,
	}
}

func (s *Switches) tell(ctx context.Context, after store.Feature, by contract.Asker) (bus.Message, error) {
	data, err := json.Marshal(contract.FeatureChange{Feature: shown(after), Address: by.Address})
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode the event of feature %s: %w", after.Name, err)
	}
	return bus.EventMessage(contract.AreaFeature, contract.WhatUpdated, after.Name, contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaFeature, contract.WhatUpdated), Time: s.now().UTC(), Source: "nexus.auth",
		Actor: by.Actor, RequestID: by.RequestID, TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
}
