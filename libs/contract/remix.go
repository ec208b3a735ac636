package contract

import (
	"encoding/json"
	"time"
)

// Request subjects of the corpus service for remixes.
const (
	RPCCorpusRemix    = "nexus.rpc.corpus.remix"
	RPCCorpusRemixes  = "nexus.rpc.corpus.remixes"
	RPCCorpusArtifact = "nexus.rpc.corpus.remix_artifact"
)

// Limits of remixes.
const (
	// MaxComposed is the longest text that a compose answers with, in bytes.
	MaxComposed = 512 << 10
	// MaxAtomRefs is how many atoms of one text and level are named.
	MaxAtomRefs = 50

	MaxRemixes     = 200
	DefaultRemixes = 50
)

// RemixRequest mixes a source with a target; of each a document or a branch is
// named.
type RemixRequest struct {
	Asker

	SourceDocumentID string `json:"source_document_id,omitempty"`
	SourceBranchID   string `json:"source_branch_id,omitempty"`
	TargetDocumentID string `json:"target_document_id,omitempty"`
	TargetBranchID   string `json:"target_branch_id,omitempty"`
	Strategy         string `json:"strategy"`
	Seed             int64  `json:"seed"`
	Mode             string `json:"mode"`

	// Compose asks for the text with all that is known of it. The others count
	// only then.
	Compose         bool     `json:"compose,omitempty"`
	AtomLevels      []string `json:"atom_levels,omitempty"`
	CreateBranch    bool     `json:"create_branch,omitempty"`
	PersistArtifact bool     `json:"persist_artifact,omitempty"`
}

// RemixReply is what came of a remix. Without Compose only the first four fields
// are set.
type RemixReply struct {
	NewBranchID *string         `json:"new_branch_id"`
	EventID     *string         `json:"event_id"`
	Strategy    string          `json:"strategy"`
	DiffSummary json.RawMessage `json:"diff_summary"`

	Seed        int64  `json:"seed"`
	Mode        string `json:"mode"`
	RemixedText string `json:"remixed_text"`
	// TextHash is the SHA-256 of the text, PayloadHash that of what was asked for.
	TextHash             string          `json:"text_hash"`
	PayloadHash          string          `json:"payload_hash"`
	SourceAtomRefs       []AtomRef       `json:"source_atom_refs"`
	RemixArtifactID      *string         `json:"remix_artifact_id"`
	GovernanceDecisionID *string         `json:"governance_decision_id"`
	GovernanceTrace      json.RawMessage `json:"governance_trace"`
	CreateBranch         bool            `json:"create_branch"`
}

// AtomRef names an atom of one of the texts that were mixed.
type AtomRef struct {
	AtomID    string `json:"atom_id"`
	AtomLevel string `json:"atom_level"`
	Ordinal   int    `json:"ordinal"`
	Role      string `json:"role" enum:"source,target"`
}

// SourceLink names a text that was mixed, with its atoms of one level.
type SourceLink struct {
	Role       string  `json:"role" enum:"source,target"`
	DocumentID *string `json:"document_id"`
	BranchID   *string `json:"branch_id"`
	// AtomLevel is empty where no levels were asked for.
	AtomLevel string `json:"atom_level"`
	// AtomCount is how many atoms there are; AtomRefs are the first MaxAtomRefs.
	AtomCount int       `json:"atom_count"`
	AtomRefs  []AtomRef `json:"atom_refs"`
}

// RemixesRequest selects remixes, newest first. A limit of 0 means DefaultRemixes;
// the most is MaxRemixes.
type RemixesRequest struct {
	Limit  int `json:"limit,omitempty"`
	Offset int `json:"offset,omitempty"`
}

// RemixesReply is one page of remixes.
type RemixesReply struct {
	Remixes []RemixItem `json:"remixes"`
	Total   int         `json:"total"`
	Offset  int         `json:"offset"`
	Limit   int         `json:"limit"`
}

// RemixItem is a remix as lists show it.
type RemixItem struct {
	ID                   string    `json:"id"`
	RemixArtifactID      string    `json:"remix_artifact_id"`
	Strategy             string    `json:"strategy"`
	Seed                 int64     `json:"seed"`
	RNGSeedHex           string    `json:"rng_seed_hex"`
	Mode                 string    `json:"mode"`
	TextHash             string    `json:"text_hash"`
	PayloadHash          string    `json:"payload_hash"`
	Preview              string    `json:"preview"`
	SourceDocumentID     *string   `json:"source_document_id"`
	SourceBranchID       *string   `json:"source_branch_id"`
	TargetDocumentID     *string   `json:"target_document_id"`
	TargetBranchID       *string   `json:"target_branch_id"`
	NewBranchID          *string   `json:"new_branch_id"`
	GovernanceDecisionID *string   `json:"governance_decision_id"`
	CreatedBy            string    `json:"created_by"`
	CreatedAt            time.Time `json:"created_at"`
}

// RemixRef names a remix.
type RemixRef struct {
	RemixID string `json:"remix_id"`
}

// RemixArtifact is a remix with its text and where it came from.
type RemixArtifact struct {
	RemixItem
	RemixedText string   `json:"remixed_text"`
	AtomLevels  []string `json:"atom_levels"`
	// LineageGraphRefs are the graph nodes of what was mixed: doc:<id> or
	// branch:<id>.
	LineageGraphRefs []string     `json:"lineage_graph_refs"`
	SourceLinks      []SourceLink `json:"source_links"`
}
