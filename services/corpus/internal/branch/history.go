package branch

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/evolve"
)

// maxNodes bounds a visualization.
const maxNodes = 20_000

// Lineage loads a branch and its ancestors, the first event first.
func (b *Branches) lineage(ctx context.Context, branchID string) ([]Branch, error) {
	id, err := uuid.Parse(branchID)
	if err != nil {
		return nil, notFound()
	}
	lineage, err := b.store.Lineage(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, notFound()
	}
	return lineage, err
}

// Timeline lists every event of a lineage. Whoever sends it cuts it into pages.
func (b *Branches) Timeline(ctx context.Context, branchID string) (contract.Timeline, error) {
	lineage, err := b.lineage(ctx, branchID)
	if err != nil {
		return contract.Timeline{}, err
	}
	at, text, err := b.Text(ctx, branchID)
	if err != nil {
		return contract.Timeline{}, err
	}
	t := contract.Timeline{
		BranchID: at.ID.String(), RootDocumentID: at.RootDocumentID.String(), ReplaySnapshot: snapshotOf(at, text),
		Events: make([]contract.TimelineEvent, len(lineage)),
	}
	for i, e := range lineage {
		t.Events[i] = contract.TimelineEvent{
			BranchID: e.ID.String(), EventID: e.EventID.String(), EventIndex: e.Index, EventType: e.EventType,
			EventPayload: e.Payload, DiffSummary: e.Diff, CreatedAt: e.CreatedAt.UTC(),
		}
	}
	return t, nil
}

// Visualization draws a lineage, and those of the branches that were merged into
// it. Whoever sends it cuts it into pages.
func (b *Branches) Visualization(ctx context.Context, branchID string) (contract.Visualization, error) {
	primary, err := b.lineage(ctx, branchID)
	if err != nil {
		return contract.Visualization{}, err
	}
	d := drawing{seen: map[uuid.UUID]bool{}}
	d.add(primary, "primary")
	// The list grows while merged lineages bring merges of their own.
	for i := 0; i < len(d.branches); i++ {
		merged := d.branches[i].Merged
		if merged == uuid.Nil || d.seen[merged] {
			continue
		}
		secondary, err := b.store.Lineage(ctx, merged)
		if err != nil {
			return contract.Visualization{}, err
		}
		d.add(secondary, "secondary_merge_parent")
		if len(d.branches) > maxNodes {
			return contract.Visualization{}, fault.New(fault.TooLarge, "", "The graph of this branch has too many events to be drawn.")
		}
	}
	last := primary[len(primary)-1]
	v := contract.Visualization{BranchID: last.ID.String(), RootDocumentID: last.RootDocumentID.String(), Nodes: d.nodes, Edges: d.edges()}
	v.Summary = contract.VisualizationSummary{
		EventCount: len(v.Nodes), EdgeCount: len(v.Edges), LineageDepth: len(primary), SecondaryLineageBranchCount: len(v.Nodes) - len(primary),
	}
	for _, e := range v.Edges {
		if e.Type == edgeMerge {
			v.Summary.MergeSecondaryEdgeCount++
		}
	}
	return v, nil
}

// drawing is a graph in the making.
type drawing struct {
	seen     map[uuid.UUID]bool
	branches []Branch
	nodes    []contract.VisualizationNode
}

func (d *drawing) add(lineage []Branch, role string) {
	for _, at := range lineage {
		if d.seen[at.ID] {
			continue
		}
		d.seen[at.ID] = true
		d.branches = append(d.branches, at)
		d.nodes = append(d.nodes, contract.VisualizationNode{
			ID: nodeID(at.ID), Kind: "event", BranchID: at.ID.String(), LineageRole: role, ParentBranchID: optional(at.Parent),
			RootDocumentID: at.RootDocumentID.String(), EventIndex: at.Index, EventType: at.EventType, Phase: phaseOf(at), Mode: at.Mode,
			CreatedAt: at.CreatedAt.UTC(), Metadata: contract.NodeMetadata{DiffSummary: at.Diff, EventPayload: at.Payload},
		})
	}
}

const (
	edgeParent = "parent_branch"
	edgeMerge  = "merge_secondary_parent"
)

func nodeID(branchID uuid.UUID) string { return "event:" + branchID.String() }

func (d *drawing) edges() []contract.VisualizationEdge {
	edges := []contract.VisualizationEdge{}
	for _, at := range d.branches {
		if at.Parent != uuid.Nil {
			edges = append(edges, edge(edgeParent, at.Parent, at.ID, json.RawMessage(`{}`)))
		}
		if at.Merged != uuid.Nil {
			// The payload of a merge is what there is to say of its second edge.
			edges = append(edges, edge(edgeMerge, at.Merged, at.ID, at.Payload))
		}
	}
	return edges
}

func edge(kind string, from, to uuid.UUID, metadata json.RawMessage) contract.VisualizationEdge {
	return contract.VisualizationEdge{
		ID: kind + ":" + from.String() + ":" + to.String(), Source: nodeID(from), Target: nodeID(to), Type: kind, Metadata: metadata,
	}
}

func phaseOf(at Branch) *string {
	if at.EventType != evolve.PhaseShift {
		return nil
	}
	var p struct {
		Phase string `json:"phase"`
	}
	if json.Unmarshal(at.Payload, &p) != nil || p.Phase == "" {
		return nil
	}
	return &p.Phase
}
