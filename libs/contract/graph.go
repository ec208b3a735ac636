package contract

// RPCCorpusGraph answers GraphRequest with GraphReply.
const RPCCorpusGraph = "nexus.rpc.corpus.graph"

// Names in the graph of documents and atoms.
const (
	GraphContains     = "CONTAINS"
	GraphDocumentNode = "doc:"
	GraphAtomNode     = "atom:"
)

// Limits of GraphRequest.
const (
	MaxGraphNodes     = 1000
	DefaultGraphNodes = 100
)

// GraphRequest selects a part of the graph. A limit of 0 means DefaultGraphNodes;
// the most is MaxGraphNodes.
type GraphRequest struct {
	DocumentID string `json:"document_id,omitempty"`
	// NodeID is doc:<id> or atom:<id>.
	NodeID string `json:"node_id,omitempty"`
	// RelationshipType selects edges, and the nodes they join.
	RelationshipType string `json:"relationship_type,omitempty"`
	Limit            int    `json:"limit,omitempty"`
}

// GraphReply is a part of the graph. Source is where it was read, or "empty".
type GraphReply struct {
	Source string      `json:"source" enum:"postgres,empty"`
	Nodes  []GraphNode `json:"nodes"`
	Edges  []GraphEdge `json:"edges"`
	Count  GraphCount  `json:"count"`
}

// GraphNode is a document or one of its atoms. A document's node has title, path
// and modality, an atom's the others.
type GraphNode struct {
	ID         string `json:"id"`
	Label      string `json:"label" enum:"Document,Atom"`
	DocumentID string `json:"document_id"`

	Title    string   `json:"title,omitempty"`
	Path     string   `json:"path,omitempty"`
	Modality Modality `json:"modality,omitempty"`

	AtomLevel string `json:"atom_level,omitempty"`
	Ordinal   int    `json:"ordinal,omitempty"`
	// Content is cut to MaxAtomContent characters.
	Content  string `json:"content,omitempty"`
	Filename string `json:"filename,omitempty"`
}

// GraphEdge leads from a document to an atom.
type GraphEdge struct {
	Type     string            `json:"type" enum:"CONTAINS"`
	From     string            `json:"from"`
	To       string            `json:"to"`
	Metadata GraphEdgeMetadata `json:"metadata"`
}

// GraphEdgeMetadata says which atom of its document an edge leads to.
type GraphEdgeMetadata struct {
	AtomLevel string `json:"atom_level"`
	Ordinal   int    `json:"ordinal"`
}

// GraphCount counts what a reply holds.
type GraphCount struct {
	Nodes int `json:"nodes"`
	Edges int `json:"edges"`
}
