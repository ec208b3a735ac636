package contract

import (
	"encoding/json"
	"time"
)

// Request subjects of the corpus service for what is decided about texts.
const (
	RPCCorpusGovern    = "nexus.rpc.corpus.govern"
	RPCCorpusDecisions = "nexus.rpc.corpus.decisions"
)

// AreaGovernance is the area of the events of decisions, WhatEvaluate the event of
// each.
const (
	AreaGovernance = "governance"
	WhatEvaluate   = "evaluate"
)

// GovernanceEvents matches the events of decisions.
const GovernanceEvents = "nexus.events." + AreaGovernance + ".>"

// Limits of governance.
const (
	// MaxCandidate is the longest text that is decided about, in bytes.
	MaxCandidate = 512 << 10

	MaxDecisions     = 1000
	DefaultDecisions = 100
)

// GovernRequest asks whether a text may go out in a mode.
type GovernRequest struct {
	Asker

	CandidateOutput string `json:"candidate_output"`
	Mode            string `json:"mode"`
}

// GovernReply is the decision.
type GovernReply struct {
	DecisionID string   `json:"decision_id"`
	Allow      bool     `json:"allow"`
	PolicyHits []string `json:"policy_hits"`
	Redactions []string `json:"redactions"`
	// AuditID is the event_id of the decision's audit entry.
	AuditID       string          `json:"audit_id"`
	DecisionTrace json.RawMessage `json:"decision_trace"`
}

// DecisionsRequest selects decisions, newest first. A limit of 0 means
// DefaultDecisions; the most is MaxDecisions.
type DecisionsRequest struct {
	Limit  int `json:"limit,omitempty"`
	Offset int `json:"offset,omitempty"`
}

// DecisionsReply is one page of decisions.
type DecisionsReply struct {
	Decisions []PolicyDecision `json:"decisions"`
	// NextOffset is set when the page holds fewer decisions than asked for because
	// more would not fit one message.
	NextOffset int `json:"next_offset,omitempty"`
}

// PolicyDecision is a decision that was made.
type PolicyDecision struct {
	ID            string          `json:"id"`
	Mode          string          `json:"mode"`
	Allow         bool            `json:"allow"`
	PolicyHits    []string        `json:"policy_hits"`
	Redactions    []string        `json:"redactions"`
	DecisionTrace json.RawMessage `json:"decision_trace"`
	AuditID       string          `json:"audit_id"`
	CreatedBy     string          `json:"created_by"`
	CreatedAt     time.Time       `json:"created_at"`
}

// GovernanceChange is the data of the event of a decision. The text itself is not
// in it.
type GovernanceChange struct {
	DecisionID    string   `json:"decision_id"`
	Mode          string   `json:"mode"`
	Allow         bool     `json:"allow"`
	PolicyHits    []string `json:"policy_hits"`
	PolicyVersion string   `json:"policy_version"`
	TextHash      string   `json:"text_hash"`
	Address       string   `json:"address,omitempty"`
}
