package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// has holds an answer to the fields that clients read, and returns it.
func has(t *testing.T, answer map[string]any, fields string) map[string]any {
	t.Helper()
	for _, name := range strings.Fields(fields) {
		require.Contains(t, answer, name)
	}
	return answer
}

func list(t *testing.T, v any) []any {
	t.Helper()
	l, ok := v.([]any)
	require.True(t, ok, "%v", v)
	return l
}

// grower sends what makes texts.
type grower struct {
	client

	t *testing.T
}

func (g grower) make(path string, body map[string]any, fields string) map[string]any {
	g.t.Helper()
	status, answer, _ := g.call(http.MethodPost, "/api/v1"+path, body)
	require.Equal(g.t, http.StatusOK, status, "%v", answer)
	return has(g.t, answer, fields)
}

func (g grower) read(path, fields string) map[string]any {
	g.t.Helper()
	return has(g.t, g.get("/api/v1"+path), fields)
}

// Every field of the routes for branches, remixes, the policy and the graph, over
// the running program.
func branches(t *testing.T, p platform) {
	g := grower{client{t, p.http, operatorKey}, t}
	g.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "sync"})
	documents := list(t, g.read("/documents", "documents")["documents"])
	one, other := object(t, documents[0])["id"], object(t, documents[1])["id"]

	first := g.make("/evolve/branch", map[string]any{"root_document_id": one, "event_type": "natural_drift"}, "new_branch_id event_id diff_summary")
	has(t, object(t, first["diff_summary"]), "event before_chars after_chars replacements")
	base := first["new_branch_id"]
	facts := map[string]string{
		"reverse_drift": "reversals", "synthetic_mutation": "mutations", "phase_shift": "phase acceleration intensity", "glyph_fusion": "fusions pair fused", "remix": "strategy",
	}
	payloads := map[string]any{"phase_shift": map[string]any{"phase": "peak"}, "remix": map[string]any{"strategy": "interleave", "remixed_text": "a b"}}
	for event, fields := range facts {
		made := g.make("/evolve/branch", map[string]any{"parent_branch_id": base, "event_type": event, "event_payload": payloads[event], "mode": "PUBLIC"}, "new_branch_id")
		has(t, object(t, made["diff_summary"]), "event before_chars after_chars "+fields)
	}
	chain := g.make("/evolve/multi", map[string]any{"parent_branch_id": base, "events": []any{
		map[string]any{"event_type": "natural_drift"}, map[string]any{"event_type": "phase_shift", "event_payload": map[string]any{"phase": "rebirth", "seed": 4}},
	}}, "branch_ids event_ids final_branch_id event_count final_text_hash final_preview")
	left := chain["final_branch_id"]
	right := g.make("/evolve/branch", map[string]any{"parent_branch_id": base, "event_type": "glyph_fusion"}, "new_branch_id")["new_branch_id"]
	merged := g.make("/branches/merge", map[string]any{"left_branch_id": left, "right_branch_id": right},
		"new_branch_id event_id strategy lca_branch_id conflict_semantics diff_summary")
	require.Equal(t, base, merged["lca_branch_id"])
	has(t, object(t, merged["conflict_semantics"]), `resolution strategy_effect inputs_identical drops_non_selected_input left_chars left_words right_chars right_words
		merged_chars merged_words shared_word_count left_only_word_count right_only_word_count common_prefix_chars common_suffix_chars`)
	has(t, object(t, merged["diff_summary"]), `event before_chars after_chars strategy left_branch_id right_branch_id lca_branch_id left_text_hash right_text_hash conflict_semantics`)
	tip := text(t, merged["new_branch_id"])

	listed := object(t, list(t, g.read("/branches?limit=1", "branches")["branches"])[0])
	require.Equal(t, tip, has(t, listed, "id parent_branch_id root_document_id mode branch_version created_at")["id"])
	timeline := g.read("/branches/"+tip+"/timeline", "branch_id root_document_id events replay_snapshot")
	require.Len(t, timeline["events"], 4)
	has(t, object(t, list(t, timeline["events"])[0]), "branch_id event_id event_index event_type event_payload diff_summary created_at")
	snapshot := has(t, object(t, timeline["replay_snapshot"]), "text_hash preview event_count")
	for _, query := range []string{"", "?from_root=true"} {
		replay := g.make("/branches/"+tip+"/replay"+query, nil, "branch_id event_count text_hash preview replay_snapshot")
		require.Equal(t, snapshot["text_hash"], replay["text_hash"])
	}
	comparison := g.read("/branches/"+tip+"/compare/"+text(t, base), "left_branch_id right_branch_id left_hash right_hash distance same preview_left preview_right")
	require.Equal(t, false, comparison["same"])
	drawn := g.read("/branches/"+tip+"/visualization", "branch_id root_document_id nodes edges summary")
	node := has(t, object(t, list(t, drawn["nodes"])[0]), "id kind branch_id lineage_role parent_branch_id root_document_id event_index event_type phase mode created_at metadata")
	has(t, object(t, node["metadata"]), "diff_summary event_payload")
	edges := list(t, drawn["edges"])
	second := slices.IndexFunc(edges, func(e any) bool { return object(t, e)["type"] == "merge_secondary_parent" })
	require.GreaterOrEqual(t, second, 0)
	edge := has(t, object(t, edges[second]), "id source target type metadata")
	has(t, object(t, edge["metadata"]), "strategy lca_branch_id right_branch_id")
	has(t, object(t, drawn["summary"]), "event_count edge_count lineage_depth secondary_lineage_branch_count merge_secondary_edge_count")
	id, status := g.submit(map[string]any{"job_type": "branch_replay", "execution_mode": "sync", "payload": map[string]any{"branch_id": tip}})
	require.Equal(t, "succeeded", status)
	artifact := object(t, list(t, g.read("/jobs/"+id, "artifacts")["artifacts"])[0])
	require.Equal(t, "branch_replay_result", artifact["artifact_type"])
	require.Equal(t, map[string]any{"branch_id": tip, "text_hash": snapshot["text_hash"]}, artifact["artifact_payload"])

	g.analysed(tip, snapshot["text_hash"])
	g.remixes(one, tip)
	g.policy(p)
	g.graph(text(t, one))
	g.refusals(one, other, tip)
}

func text(t *testing.T, v any) string {
	t.Helper()
	s, ok := v.(string)
	require.True(t, ok, "%v", v)
	return s
}

// analysed has a branch analysed, whose text is not that of any document.
func (g grower) analysed(tip string, hash any) {
	t := g.t
	analysis := g.make("/analyze", map[string]any{"branch_id": tip}, "analysis_run_id mode layers confidence_bundle hypergraph_ids plugin_provenance job_id status")
	require.Equal(t, "completed", analysis["status"])
	require.Len(t, analysis["layers"], 9)
	run := g.read("/analysis/runs/"+text(t, analysis["analysis_run_id"]), "document_id branch_id results")
	require.Equal(t, tip, run["branch_id"])
	require.Nil(t, run["document_id"])
	require.Equal(t, hash, object(t, run["run_metadata"])["source_checksum"])
	id, status := g.submit(map[string]any{"job_type": "analyze", "execution_mode": "sync", "payload": map[string]any{"branch_id": tip, "layers": []string{"token"}}})
	require.Equal(t, "succeeded", status)
	result := object(t, g.read("/jobs/"+id, "result")["result"])
	require.Equal(t, tip, result["branch_id"])
	problem := g.post("/api/v1/analyze", http.StatusNotFound, map[string]any{"branch_id": uuid.NewString()})
	require.Equal(t, "Branch not found", problem["detail"])
}

func (g grower) remixes(one any, branch string) {
	t := g.t
	for _, strategy := range []string{"interleave", "thematic_blend", "temporal_layer", "glyph_collide"} {
		mix := map[string]any{"source_document_id": one, "target_branch_id": branch, "strategy": strategy, "seed": 11}
		a := g.make("/remix", mix, "new_branch_id event_id strategy diff_summary")
		mix["atom_levels"] = []string{"word"}
		b := g.make("/remix/compose", mix, `strategy seed mode remixed_text text_hash payload_hash source_atom_refs remix_artifact_id governance_decision_id governance_trace
			create_branch new_branch_id event_id diff_summary`)
		has(t, object(t, list(t, b["source_atom_refs"])[0]), "atom_id atom_level ordinal role")
		same := g.read("/branches/"+text(t, a["new_branch_id"])+"/compare/"+text(t, b["new_branch_id"]), "same")
		require.Equal(t, true, same["same"], "chance follows from the seed")
		kept := g.read("/remix/"+text(t, b["remix_artifact_id"]), "remixed_text text_hash payload_hash rng_seed_hex lineage_graph_refs source_links")
		require.Equal(t, b["remixed_text"], kept["remixed_text"])
		has(t, object(t, list(t, kept["source_links"])[0]), "role document_id branch_id atom_level atom_count atom_refs")
	}
	page := g.read("/remix?limit=2&offset=1", "remixes total offset limit")
	require.Len(t, page["remixes"], 2)
	require.InDelta(t, 4, page["total"], 0)
}

func (g grower) policy(p platform) {
	t := g.t
	verdict := g.make("/governance/evaluate", map[string]any{"candidate_output": "Kill it", "mode": "PUBLIC"}, "allow policy_hits redactions audit_id decision_trace")
	require.Equal(t, false, verdict["allow"])
	trace := has(t, object(t, verdict["decision_trace"]), "mode policy_version hard_block_threshold hits mode_rationale redaction_style allow")
	has(t, object(t, list(t, trace["hits"])[0]), "term start end matched_text rule mode")
	raw := grower{client{t, p.http, researcherKey}, t}.make("/governance/evaluate", map[string]any{"candidate_output": "Kill it", "mode": "RAW"}, "allow")
	require.Equal(t, true, raw["allow"])
	decision := object(t, list(t, g.read("/audit/policy-decisions?limit=1", "decisions")["decisions"])[0])
	has(t, decision, "id mode allow policy_hits redactions decision_trace audit_id created_at")
	admin := client{t, p.http, adminKey}
	testkit.Eventually(t, func() bool {
		return len(list(t, admin.get("/api/v1/audit/logs?action=governance.evaluate&event_id=" + text(t, verdict["audit_id"]))["logs"])) == 1
	}, "the decision is not in the audit trail")
}

func (g grower) graph(document string) {
	t := g.t
	graph := g.read("/hypergraph/query?limit=5&document_id="+document, "source nodes edges count")
	require.Len(t, graph["nodes"], 5)
	atom := has(t, object(t, list(t, graph["nodes"])[4]), "id label document_id atom_level ordinal content filename")
	has(t, object(t, list(t, graph["edges"])[0]), "type from to metadata")
	found := g.read("/hypergraph/query?node_id="+text(t, atom["id"]), "count")
	require.Equal(t, map[string]any{"nodes": 2.0, "edges": 1.0}, found["count"])
	for _, query := range []string{"relationship_type=LIKES", "document_id=" + uuid.NewString(), "node_id=atom:" + uuid.NewString()} {
		require.Equal(t, "empty", g.read("/hypergraph/query?"+query, "source")["source"])
	}
	integrity := g.read("/hypergraph/documents/"+document+"/integrity", `document_id document_nodes atom_nodes contains_edges expected_atom_nodes projection_status consistent
		neo4j_verified neo4j_document_nodes neo4j_atom_nodes neo4j_contains_edges`)
	require.Equal(t, true, integrity["consistent"])
	require.Equal(t, false, integrity["neo4j_verified"])
	require.Nil(t, integrity["neo4j_atom_nodes"])
}

func (g grower) refusals(one, other any, branch string) {
	t := g.t
	stranger := g.make("/evolve/branch", map[string]any{"root_document_id": other, "event_type": "natural_drift"}, "new_branch_id")["new_branch_id"]
	nobody := uuid.NewString()
	for _, c := range []struct {
		path   string
		body   map[string]any
		status int
	}{
		{"/evolve/branch", map[string]any{"root_document_id": one, "event_type": "sideways"}, http.StatusBadRequest},
		{"/evolve/branch", map[string]any{"root_document_id": one, "event_type": "phase_shift", "event_payload": map[string]any{"phase": 7}}, http.StatusBadRequest},
		{"/evolve/branch", map[string]any{"event_type": "natural_drift"}, http.StatusBadRequest},
		{"/evolve/branch", map[string]any{"root_document_id": nobody, "event_type": "natural_drift"}, http.StatusNotFound},
		{"/evolve/branch", map[string]any{"parent_branch_id": nobody, "event_type": "natural_drift"}, http.StatusNotFound},
		{"/evolve/branch", map[string]any{"root_document_id": one, "event_type": "natural_drift", "mode": "RAW"}, http.StatusForbidden},
		{"/evolve/branch", map[string]any{"root_document_id": one, "event_type": "natural_drift", "event_payload": map[string]any{"expected_parent_event_index": 3}}, http.StatusConflict},
		{"/evolve/multi", map[string]any{"root_document_id": one, "events": []any{}}, http.StatusBadRequest},
		{"/branches/merge", map[string]any{"left_branch_id": branch, "right_branch_id": stranger}, http.StatusBadRequest},
		{"/branches/merge", map[string]any{"left_branch_id": branch, "right_branch_id": nobody}, http.StatusNotFound},
		{"/remix", map[string]any{"source_document_id": one, "target_document_id": other, "strategy": "stir"}, http.StatusBadRequest},
		{"/governance/evaluate", map[string]any{"candidate_output": "x", "mode": "RAW"}, http.StatusForbidden},
		{"/branches/" + nobody + "/replay", nil, http.StatusNotFound},
	} {
		status, answer, _ := g.call(http.MethodPost, "/api/v1"+c.path, c.body)
		require.Equal(t, c.status, status, "%s %v: %v", c.path, c.body, answer)
		require.NotEmpty(t, answer["detail"])
	}
}
