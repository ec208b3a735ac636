package document

import (
	"github.com/google/uuid"

	"nexus.internal/libs/contract"
)

// GraphCounts are what is stored of a document's graph, beside what the
// document says about it.
type GraphCounts struct {
	DocumentID uuid.UUID
	Ingested   bool
	// AtomCount is how many atoms the document was split into.
	AtomCount int64
	// DocumentNodes, AtomNodes and ContainsEdges are counted in the graph.
	DocumentNodes, AtomNodes, ContainsEdges int64
}

// Integrity compares the graph of a document with the document. An ingested
// document has one node of its own, one for each atom, and a CONTAINS edge to
// each of these; any other document has none.
func (c GraphCounts) Integrity() contract.GraphIntegrity {
	var documentNodes, atoms int64
	if c.Ingested {
		documentNodes, atoms = 1, c.AtomCount
	}
	projection := contract.ProjectionPending
	if c.DocumentNodes > 0 {
		projection = contract.ProjectionComplete
	}
	return contract.GraphIntegrity{
		DocumentID:            c.DocumentID.String(),
		DocumentNodes:         c.DocumentNodes,
		ExpectedDocumentNodes: documentNodes,
		AtomNodes:             c.AtomNodes,
		ContainsEdges:         c.ContainsEdges,
		ExpectedAtomNodes:     atoms,
		ProjectionStatus:      projection,
		Consistent:            c.DocumentNodes == documentNodes && c.AtomNodes == atoms && c.ContainsEdges == atoms,
	}
}
