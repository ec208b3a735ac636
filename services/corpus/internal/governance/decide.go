package governance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// Kept is a decision as it is stored.
type Kept struct {
	ID         uuid.UUID
	AuditID    uuid.UUID
	Mode       string
	Allow      bool
	PolicyHits []string
	Redactions []string
	Trace      json.RawMessage
	CreatedBy  string
}

// Store keeps decisions, each together with the event that tells of it.
type Store interface {
	KeepDecision(ctx context.Context, d Kept, event bus.Message) error
}

// Decider decides and keeps what it decided.
type Decider struct {
	policy *Policy
	store  Store
	now    func() time.Time
}

// NewDecider makes a decider.
func NewDecider(policy *Policy, store Store, now func() time.Time) *Decider {
	return &Decider{policy, store, now}
}

// Decide answers whether a text may go out. Each decision is stored and audited.
func (d *Decider) Decide(ctx context.Context, req contract.GovernRequest) (contract.GovernReply, error) {
	if req.Mode != ModePublic && req.Mode != ModeRaw {
		return contract.GovernReply{}, fault.Unprocessablef("Unknown mode: want PUBLIC or RAW")
	}
	if len(req.CandidateOutput) > contract.MaxCandidate {
		return contract.GovernReply{}, fault.New(fault.TooLarge, "", fmt.Sprintf("The text has %d bytes; the limit is %d.", len(req.CandidateOutput), contract.MaxCandidate))
	}
	made := d.policy.Evaluate(req.CandidateOutput, req.Mode)
	trace, err := json.Marshal(made.Trace)
	if err != nil {
		return contract.GovernReply{}, fmt.Errorf("encode a decision: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return contract.GovernReply{}, fmt.Errorf("make a decision id: %w", err)
	}
	kept := Kept{
		ID: id, AuditID: uuid.New(), Mode: req.Mode, Allow: made.Allow, PolicyHits: made.PolicyHits, Redactions: made.Redactions,
		Trace: trace, CreatedBy: req.Actor,
	}
	event, err := d.event(ctx, kept, req)
	if err != nil {
		return contract.GovernReply{}, err
	}
	if err := d.store.KeepDecision(ctx, kept, event); err != nil {
		return contract.GovernReply{}, err
	}
	return contract.GovernReply{
		DecisionID: id.String(), Allow: made.Allow, PolicyHits: made.PolicyHits, Redactions: made.Redactions,
		AuditID: kept.AuditID.String(), DecisionTrace: trace,
	}, nil
}

func (d *Decider) event(ctx context.Context, kept Kept, req contract.GovernRequest) (bus.Message, error) {
	sum := sha256.Sum256([]byte(req.CandidateOutput))
	data, err := json.Marshal(contract.GovernanceChange{
		DecisionID: kept.ID.String(), Mode: kept.Mode, Allow: kept.Allow, PolicyHits: kept.PolicyHits, PolicyVersion: Version,
		TextHash: hex.EncodeToString(sum[:]), Address: req.Address,
	})
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode the event of a decision: %w", err)
	}
	return bus.EventMessage(contract.AreaGovernance, contract.WhatEvaluate, kept.Mode, contract.Event{
		ID: kept.AuditID.String(), Type: contract.EventType(contract.AreaGovernance, contract.WhatEvaluate), Time: d.now().UTC(), Source: "nexus.corpus",
		Actor: req.Actor, RequestID: req.RequestID, TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
}
