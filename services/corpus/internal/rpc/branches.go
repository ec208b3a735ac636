package rpc

import (
	"context"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/branch"
	"nexus.internal/services/corpus/internal/jsonsize"
	"nexus.internal/services/corpus/internal/store"
)

// BranchAnswers answers requests about branches.
type BranchAnswers struct {
	branches *branch.Branches
	store    *store.Store
}

// NewBranches makes the answers.
func NewBranches(b *branch.Branches, s *store.Store) *BranchAnswers { return &BranchAnswers{b, s} }

// Register has an RPC service give the answers. It must be called before the
// service runs.
func (a *BranchAnswers) Register(service *bus.RPC) {
	bus.Handle(service, contract.RPCCorpusEvolve, a.branches.Evolve)
	bus.Handle(service, contract.RPCCorpusBranches, a.List)
	bus.Handle(service, contract.RPCCorpusTimeline, a.Timeline)
	bus.Handle(service, contract.RPCCorpusReplay, a.branches.Replay)
	bus.Handle(service, contract.RPCCorpusCompare, a.branches.Compare)
	bus.Handle(service, contract.RPCCorpusMerge, a.branches.Merge)
	bus.Handle(service, contract.RPCCorpusVisualization, a.Visualization)
	bus.Handle(service, contract.RPCCorpusBranchText, a.Text)
}

// List lists branches, newest first.
func (a *BranchAnswers) List(ctx context.Context, req contract.BranchesRequest) (contract.BranchesReply, error) {
	limit, err := pageLimits(req.Offset, req.Limit, contract.DefaultBranches, contract.MaxBranches)
	if err != nil {
		return contract.BranchesReply{}, err
	}
	items, total, err := a.store.Branches(ctx, req.Offset, limit)
	if err != nil {
		return contract.BranchesReply{}, err
	}
	count, err := fitting(items)
	if err != nil {
		return contract.BranchesReply{}, err
	}
	reply := contract.BranchesReply{Branches: items[:count], Total: total}
	if count < len(items) {
		reply.NextOffset = req.Offset + count
	}
	return reply, nil
}

// Timeline returns a page of a branch's timeline: as many events as fit a message.
func (a *BranchAnswers) Timeline(ctx context.Context, req contract.BranchRequest) (contract.Timeline, error) {
	t, err := a.branches.Timeline(ctx, req.BranchID)
	if err != nil {
		return contract.Timeline{}, err
	}
	if req.After < 0 || req.After > len(t.Events) {
		return contract.Timeline{}, fault.Invalidf(contract.CodeInvalid, "after is %d; the timeline has %d events", req.After, len(t.Events))
	}
	t.Events, t.Next, err = pageOf(t.Events, req.After)
	return t, err
}

// Visualization returns a page of a branch's graph: nodes, and behind the last of
// them edges, as many as fit a message.
func (a *BranchAnswers) Visualization(ctx context.Context, req contract.BranchRequest) (contract.Visualization, error) {
	v, err := a.branches.Visualization(ctx, req.BranchID)
	if err != nil {
		return contract.Visualization{}, err
	}
	nodes, edges := v.Nodes, v.Edges
	if req.After < 0 || req.After > len(nodes)+len(edges) {
		return contract.Visualization{}, fault.Invalidf(contract.CodeInvalid, "after is %d; the graph has %d parts", req.After, len(nodes)+len(edges))
	}
	v.Nodes, v.Edges = []contract.VisualizationNode{}, []contract.VisualizationEdge{}
	if req.After < len(nodes) {
		v.Nodes, v.Next, err = pageOf(nodes, req.After)
		if v.Next == 0 && len(edges) > 0 {
			v.Next = len(nodes)
		}
		return v, err
	}
	v.Edges, v.Next, err = pageOf(edges, req.After-len(nodes))
	if v.Next > 0 {
		v.Next += len(nodes)
	}
	return v, err
}

// pageOf returns the part of a list that fits a message, and where the next one
// begins: 0 when there is none.
func pageOf[T any](list []T, after int) (page []T, next int, err error) {
	rest := list[after:]
	count, err := fitting(rest)
	if err != nil {
		return nil, 0, err
	}
	if after+count < len(list) {
		next = after + count
	}
	return rest[:count], next, nil
}

// Text returns a part of a branch's text.
func (a *BranchAnswers) Text(ctx context.Context, req contract.BranchTextRequest) (contract.TextReply, error) {
	limit, err := textLimits(contract.TextRequest{Offset: req.Offset, Limit: req.Limit})
	if err != nil {
		return contract.TextReply{}, err
	}
	req.Limit = limit
	return a.branches.TextPart(ctx, req, func(text string, limit int) string {
		return jsonsize.Cut(text, limit, contract.MaxTextChunkEncoded)
	})
}
