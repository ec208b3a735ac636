package rpc

import (
	"context"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/compose"
	"nexus.internal/services/corpus/internal/governance"
	"nexus.internal/services/corpus/internal/store"
)

// MixAnswers answers requests about remixes and about what the policy says.
type MixAnswers struct {
	composer *compose.Composer
	decider  *governance.Decider
	store    *store.Store
}

// NewMixes makes the answers.
func NewMixes(c *compose.Composer, d *governance.Decider, s *store.Store) *MixAnswers {
	return &MixAnswers{c, d, s}
}

// Register has an RPC service give the answers. It must be called before the
// service runs.
func (a *MixAnswers) Register(service *bus.RPC) {
	bus.Handle(service, contract.RPCCorpusRemix, a.composer.Remix)
	bus.Handle(service, contract.RPCCorpusRemixes, a.Remixes)
	bus.Handle(service, contract.RPCCorpusArtifact, a.composer.Artifact)
	bus.Handle(service, contract.RPCCorpusGovern, a.decider.Decide)
	bus.Handle(service, contract.RPCCorpusDecisions, a.Decisions)
}

// Remixes lists kept remixes, newest first.
func (a *MixAnswers) Remixes(ctx context.Context, req contract.RemixesRequest) (contract.RemixesReply, error) {
	limit, err := pageLimits(req.Offset, req.Limit, contract.DefaultRemixes, contract.MaxRemixes)
	if err != nil {
		return contract.RemixesReply{}, err
	}
	items, total, err := a.store.Remixes(ctx, req.Offset, limit)
	return contract.RemixesReply{Remixes: items, Total: total, Offset: req.Offset, Limit: limit}, err
}

// Decisions lists what the policy said, newest first.
func (a *MixAnswers) Decisions(ctx context.Context, req contract.DecisionsRequest) (contract.DecisionsReply, error) {
	limit, err := pageLimits(req.Offset, req.Limit, contract.DefaultDecisions, contract.MaxDecisions)
	if err != nil {
		return contract.DecisionsReply{}, err
	}
	items, err := a.store.PolicyDecisions(ctx, req.Offset, limit)
	if err != nil {
		return contract.DecisionsReply{}, err
	}
	count, err := fitting(items)
	if err != nil {
		return contract.DecisionsReply{}, err
	}
	reply := contract.DecisionsReply{Decisions: items[:count]}
	if count < len(items) {
		reply.NextOffset = req.Offset + count
	}
	return reply, nil
}
