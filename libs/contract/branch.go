package contract

import (
	"encoding/json"
	"time"
)

// Request subjects of the corpus service for branches and what is made of them.
const (
	RPCCorpusEvolve        = "nexus.rpc.corpus.evolve"
	RPCCorpusBranches      = "nexus.rpc.corpus.branches"
	RPCCorpusTimeline      = "nexus.rpc.corpus.timeline"
	RPCCorpusReplay        = "nexus.rpc.corpus.replay"
	RPCCorpusCompare       = "nexus.rpc.corpus.compare"
	RPCCorpusMerge         = "nexus.rpc.corpus.merge"
	RPCCorpusVisualization = "nexus.rpc.corpus.visualization"
	// RPCCorpusBranchText answers BranchTextRequest with TextReply.
	RPCCorpusBranchText = "nexus.rpc.corpus.branch_text"
)

// JobBranchReplay is the job type that replays a branch, and ArtifactBranchReplay
// what it leaves behind.
const (
	JobBranchReplay      = "branch_replay"
	ArtifactBranchReplay = "branch_replay_result"
)

// Limits of branches.
const (
	// MaxLineage is the most events of one lineage.
	MaxLineage = 10_000
	// MaxEvents is the most events of one request.
	MaxEvents = 100
	// PreviewChars is where previews are cut, in characters.
	PreviewChars = 500
	// MaxEventPayload is the largest event_payload that is kept and shown as it was
	// sent, in bytes; of a longer remixed_text its beginning is.
	MaxEventPayload = 4 << 10

	MaxBranches     = 1000
	DefaultBranches = 100
)

// EvolveEvent is one step of an evolution.
type EvolveEvent struct {
	EventType    string          `json:"event_type"`
	EventPayload json.RawMessage `json:"event_payload,omitempty"`
}

// EvolveRequest makes a chain of branches, one for each event, that begins at a
// parent branch or at a root document; exactly one of them is named. Either all
// branches are made or none.
type EvolveRequest struct {
	ParentBranchID string        `json:"parent_branch_id,omitempty"`
	RootDocumentID string        `json:"root_document_id,omitempty"`
	Events         []EvolveEvent `json:"events"`
	Mode           string        `json:"mode"`
	Actor          string        `json:"actor"`
}

// EvolveReply lists the branches made, in order.
type EvolveReply struct {
	BranchIDs      []string        `json:"branch_ids"`
	EventIDs       []string        `json:"event_ids"`
	FinalBranchID  string          `json:"final_branch_id"`
	EventCount     int             `json:"event_count"`
	FinalTextHash  string          `json:"final_text_hash"`
	FinalPreview   string          `json:"final_preview"`
	LastDiff       json.RawMessage `json:"diff_summary"`
	RootDocumentID string          `json:"root_document_id"`
}

// BranchesRequest selects branches, newest first. A limit of 0 means
// DefaultBranches; the most is MaxBranches.
type BranchesRequest struct {
	Limit  int `json:"limit,omitempty"`
	Offset int `json:"offset,omitempty"`
}

// BranchesReply is one page of branches.
type BranchesReply struct {
	Branches []BranchItem `json:"branches"`
	// Total is how many branches there are.
	Total int `json:"total"`
	// NextOffset is set when the page holds fewer branches than asked for because
	// more would not fit one message.
	NextOffset int `json:"next_offset,omitempty"`
}

// BranchItem is a branch as lists show it.
type BranchItem struct {
	ID             string  `json:"id"`
	ParentBranchID *string `json:"parent_branch_id"`
	RootDocumentID string  `json:"root_document_id"`
	Mode           string  `json:"mode"`
	// BranchVersion is how many events lie between the root document and the
	// branch, its own included.
	BranchVersion int       `json:"branch_version"`
	EventType     string    `json:"event_type"`
	CreatedBy     string    `json:"created_by"`
	CreatedAt     time.Time `json:"created_at"`
}

// BranchRequest names a branch. After passes over what earlier pages held, where
// the answer has more than one.
type BranchRequest struct {
	BranchID string `json:"branch_id"`
	After    int    `json:"after,omitempty"`
	// FromRoot replays every event instead of beginning at a checkpoint.
	FromRoot bool `json:"from_root,omitempty"`
}

// Timeline is the lineage of a branch from its root document on.
type Timeline struct {
	BranchID       string          `json:"branch_id"`
	RootDocumentID string          `json:"root_document_id"`
	Events         []TimelineEvent `json:"events"`
	ReplaySnapshot ReplaySnapshot  `json:"replay_snapshot"`
	// Next is what After of the next page is; 0 on the last.
	Next int `json:"next,omitempty"`
}

// TimelineEvent is the event of one branch.
type TimelineEvent struct {
	BranchID     string          `json:"branch_id"`
	EventID      string          `json:"event_id"`
	EventIndex   int             `json:"event_index"`
	EventType    string          `json:"event_type"`
	EventPayload json.RawMessage `json:"event_payload"`
	DiffSummary  json.RawMessage `json:"diff_summary"`
	CreatedAt    time.Time       `json:"created_at"`
}

// ReplaySnapshot is what a replay comes to.
type ReplaySnapshot struct {
	// TextHash is the SHA-256 of the text, in hex.
	TextHash   string `json:"text_hash"`
	Preview    string `json:"preview"`
	EventCount int    `json:"event_count"`
}

// Replay is the outcome of replaying a branch.
type Replay struct {
	BranchID       string         `json:"branch_id"`
	EventCount     int            `json:"event_count"`
	TextHash       string         `json:"text_hash"`
	Preview        string         `json:"preview"`
	ReplaySnapshot ReplaySnapshot `json:"replay_snapshot"`
}

// BranchReplayPayload is the payload of a branch_replay job.
type BranchReplayPayload struct {
	BranchID string `json:"branch_id"`
}

// BranchReplayArtifact is the payload of the artifact of a branch_replay job.
type BranchReplayArtifact struct {
	BranchID string `json:"branch_id"`
	TextHash string `json:"text_hash"`
}

// CompareRequest names two branches.
type CompareRequest struct {
	LeftBranchID  string `json:"left_branch_id"`
	RightBranchID string `json:"right_branch_id"`
}

// Comparison sets the texts of two branches side by side.
type Comparison struct {
	LeftBranchID  string `json:"left_branch_id"`
	RightBranchID string `json:"right_branch_id"`
	LeftHash      string `json:"left_hash"`
	RightHash     string `json:"right_hash"`
	// Distance counts the positions at which the previews differ; where one ends,
	// the rest of the other does.
	Distance     int    `json:"distance"`
	Same         bool   `json:"same"`
	PreviewLeft  string `json:"preview_left"`
	PreviewRight string `json:"preview_right"`
}

// MergeRequest makes a branch of two.
type MergeRequest struct {
	LeftBranchID  string `json:"left_branch_id"`
	RightBranchID string `json:"right_branch_id"`
	Strategy      string `json:"strategy"`
	Mode          string `json:"mode"`
	Actor         string `json:"actor"`
}

// MergeReply is the branch that a merge made. Its parent is the left branch.
type MergeReply struct {
	NewBranchID       string          `json:"new_branch_id"`
	EventID           string          `json:"event_id"`
	Strategy          string          `json:"strategy"`
	LCABranchID       *string         `json:"lca_branch_id"`
	ConflictSemantics json.RawMessage `json:"conflict_semantics"`
	DiffSummary       json.RawMessage `json:"diff_summary"`
}

// Visualization is the graph of what a branch came from.
type Visualization struct {
	BranchID       string               `json:"branch_id"`
	RootDocumentID string               `json:"root_document_id"`
	Nodes          []VisualizationNode  `json:"nodes"`
	Edges          []VisualizationEdge  `json:"edges"`
	Summary        VisualizationSummary `json:"summary"`
	// Next is what After of the next page is; 0 on the last. Pages hold first the
	// nodes, then the edges.
	Next int `json:"next,omitempty"`
}

// VisualizationNode is one event.
type VisualizationNode struct {
	ID             string       `json:"id"`
	Kind           string       `json:"kind" enum:"event"`
	BranchID       string       `json:"branch_id"`
	LineageRole    string       `json:"lineage_role" enum:"primary,secondary_merge_parent"`
	ParentBranchID *string      `json:"parent_branch_id"`
	RootDocumentID string       `json:"root_document_id"`
	EventIndex     int          `json:"event_index"`
	EventType      string       `json:"event_type"`
	Phase          *string      `json:"phase"`
	Mode           string       `json:"mode"`
	CreatedAt      time.Time    `json:"created_at"`
	Metadata       NodeMetadata `json:"metadata"`
}

// NodeMetadata is what is known of an event.
type NodeMetadata struct {
	DiffSummary  json.RawMessage `json:"diff_summary"`
	EventPayload json.RawMessage `json:"event_payload"`
}

// VisualizationEdge leads from an event to one that came of it.
type VisualizationEdge struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Target string `json:"target"`
	Type   string `json:"type" enum:"parent_branch,merge_secondary_parent,intra_branch_sequence"`
	// Metadata of a merge's second edge holds strategy, lca_branch_id and
	// right_branch_id; otherwise it is {}.
	Metadata json.RawMessage `json:"metadata"`
}

// VisualizationSummary counts what the graph holds.
type VisualizationSummary struct {
	EventCount                  int `json:"event_count"`
	EdgeCount                   int `json:"edge_count"`
	LineageDepth                int `json:"lineage_depth"`
	SecondaryLineageBranchCount int `json:"secondary_lineage_branch_count"`
	MergeSecondaryEdgeCount     int `json:"merge_secondary_edge_count"`
}

// BranchTextRequest asks for a part of the text of a branch, as TextRequest does
// for a document's. The checksum of a branch is the hash of its text.
type BranchTextRequest struct {
	BranchID string `json:"branch_id"`
	Offset   int64  `json:"offset,omitempty"`
	Limit    int    `json:"limit,omitempty"`
}
