package rpc

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/store"
)

// maxAtomSearch bounds the atoms among which one is looked for by its id, which
// says nothing of where it stands.
const maxAtomSearch = 5_000_000

// Graph answers with a part of the graph of documents and atoms.
func (a *Answers) Graph(ctx context.Context, req contract.GraphRequest) (contract.GraphReply, error) {
	limit, err := pageLimits(0, req.Limit, contract.DefaultGraphNodes, contract.MaxGraphNodes)
	if err != nil {
		return contract.GraphReply{}, err
	}
	documentID, atomID, err := graphIDs(req)
	if err != nil {
		return contract.GraphReply{}, err
	}
	g := graph{a: a, limit: limit, reply: contract.GraphReply{Nodes: []contract.GraphNode{}, Edges: []contract.GraphEdge{}}}
	switch {
	case req.RelationshipType != "" && req.RelationshipType != contract.GraphContains:
	case atomID != nil:
		err = g.atom(ctx, *atomID, documentID)
	default:
		err = g.documents(ctx, documentID)
	}
	if err != nil {
		return contract.GraphReply{}, err
	}
	if req.RelationshipType != "" && len(g.reply.Edges) == 0 {
		g.reply.Nodes = []contract.GraphNode{}
	}
	return g.fitted()
}

// graphIDs reads which document, and which atom, a request is about.
func graphIDs(req contract.GraphRequest) (documentID, atomID *uuid.UUID, err error) {
	read := func(field, text string) (*uuid.UUID, error) {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fault.Invalidf(contract.CodeInvalid, "%s is not an id", field)
		}
		return &id, nil
	}
	if req.DocumentID != "" {
		if documentID, err = read("document_id", req.DocumentID); err != nil {
			return nil, nil, err
		}
	}
	kind, id, _ := strings.Cut(req.NodeID, ":")
	switch {
	case req.NodeID == "":
		return documentID, nil, nil
	case kind+":" == contract.GraphAtomNode:
		atomID, err = read("node_id", id)
		return documentID, atomID, err
	case kind+":" == contract.GraphDocumentNode:
		node, err := read("node_id", id)
		if err == nil && documentID != nil && *node != *documentID {
			err = fault.Invalidf(contract.CodeInvalid, "node_id and document_id name different documents")
		}
		return node, nil, err
	default:
		return nil, nil, fault.Invalidf(contract.CodeInvalid, "node_id must be doc:<id> or atom:<id>")
	}
}

// graph is a reply in the making.
type graph struct {
	a     *Answers
	limit int
	reply contract.GraphReply
}

// documents adds documents with their atoms, level by level, as far as the limit
// goes.
func (g *graph) documents(ctx context.Context, documentID *uuid.UUID) error {
	nodes, err := g.a.store.DocumentNodes(ctx, documentID, g.limit)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if len(g.reply.Nodes) == g.limit {
			return nil
		}
		g.addDocument(node)
		counts, err := g.a.store.AtomCounts(ctx, &node.ID)
		if err != nil {
			return err
		}
		for _, c := range counts {
			if err := g.addAtoms(ctx, node, c.Level, 0, g.limit-len(g.reply.Nodes)); err != nil {
				return err
			}
		}
	}
	return nil
}

// atom adds one atom and its document.
func (g *graph) atom(ctx context.Context, atomID uuid.UUID, documentID *uuid.UUID) error {
	counts, err := g.a.store.AtomCounts(ctx, documentID)
	if err != nil {
		return err
	}
	looked := int64(0)
	for _, c := range counts {
		if looked += c.Count; looked > maxAtomSearch {
			return fault.Unprocessablef("The graph has too many atoms to find one by its id alone: name its document_id, too")
		}
		for ordinal := 1; ordinal <= int(c.Count); ordinal++ {
			if document.AtomID(c.DocumentID, c.Level, ordinal) != atomID {
				continue
			}
			nodes, err := g.a.store.DocumentNodes(ctx, &c.DocumentID, 1)
			if err != nil || len(nodes) == 0 {
				return err
			}
			g.addDocument(nodes[0])
			return g.addAtoms(ctx, nodes[0], c.Level, ordinal-1, 1)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (g *graph) addDocument(node store.DocumentNode) {
	g.reply.Nodes = append(g.reply.Nodes, contract.GraphNode{
		ID: contract.GraphDocumentNode + node.ID.String(), Label: "Document", DocumentID: node.ID.String(),
		Title: node.Title, Path: node.Path, Modality: node.Modality,
	})
}

func (g *graph) addAtoms(ctx context.Context, of store.DocumentNode, level atom.Level, offset, limit int) error {
	if limit < 1 {
		return nil
	}
	page, err := g.a.store.Atoms(ctx, of.ID, level, offset, limit, max(contract.MaxAtomContent, atom.TokenRunes))
	if err != nil {
		return orNotFound(err, documentNotFound())
	}
	for _, at := range page.Atoms {
		node := contract.GraphNode{
			ID: contract.GraphAtomNode + document.AtomID(of.ID, level, at.Ordinal).String(), Label: "Atom", DocumentID: of.ID.String(),
			AtomLevel: string(level), Ordinal: at.Ordinal, Content: atom.FirstRunes(at.Content, contract.MaxAtomContent), Filename: atom.FileName(of.Path, at),
		}
		g.reply.Nodes = append(g.reply.Nodes, node)
		g.reply.Edges = append(g.reply.Edges, contract.GraphEdge{
			Type: contract.GraphContains, From: contract.GraphDocumentNode + of.ID.String(), To: node.ID,
			Metadata: contract.GraphEdgeMetadata{AtomLevel: string(level), Ordinal: at.Ordinal},
		})
	}
	return nil
}

// fitted is the reply, cut to what fits a message: an edge goes with its atom.
func (g *graph) fitted() (contract.GraphReply, error) {
	// An edge and the punctuation around it take no more than a node without text.
	count, err := fitting(g.reply.Nodes)
	if err != nil {
		return contract.GraphReply{}, err
	}
	kept := map[string]bool{}
	for _, n := range g.reply.Nodes[:count] {
		kept[n.ID] = true
	}
	edges := []contract.GraphEdge{}
	for _, e := range g.reply.Edges {
		if kept[e.To] {
			edges = append(edges, e)
		}
	}
	reply := contract.GraphReply{Source: "postgres", Nodes: g.reply.Nodes[:count], Edges: edges, Count: contract.GraphCount{Nodes: count, Edges: len(edges)}}
	if count == 0 {
		reply.Source = "empty"
	}
	return reply, nil
}
