package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// post requires a status.
func (c client) post(path string, status int, body any) map[string]any {
	c.t.Helper()
	code, answer, _ := c.call(http.MethodPost, path, body)
	require.Equal(c.t, status, code, "%s: %v", path, answer)
	return answer
}

func object(t testing.TB, v any) map[string]any {
	t.Helper()
	m, ok := v.(map[string]any)
	require.True(t, ok, "%v is no object", v)
	return m
}

// someDocument ingests the corpus and returns one document of it.
func someDocument(c client) string {
	c.t.Helper()
	id, _ := c.submit(map[string]any{"job_type": "ingest_batch"})
	require.Equal(c.t, "succeeded", c.finished(id)["status"])
	documents, ok := c.get("/api/v1/documents")["documents"].([]any)
	require.True(c.t, ok)
	require.NotEmpty(c.t, documents)
	return object(c.t, documents[0])["id"].(string)
}

// buildShout builds the WebAssembly example into a folder.
func buildShout(t testing.TB, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "shout.wasm"), ".")
	cmd.Dir = "../../examples/plugins/wasm"
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// TestPluginsOfThreeKinds serve one analysis: the program itself, a WebAssembly
// module, and a program in JavaScript that is let in with a key of its own.
func TestPluginsOfThreeKinds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	buildShout(t, dir)
	p := oneProcess(t, "NEXUS_PLUGIN_NATS_NAMES=keywords", "NEXUS_PLUGIN_WASM_DIR="+dir, "NEXUS_PLUGIN_BREAKER_FAILURES=1000",
		"NEXUS_PLUGIN_PROFILES=mixed=keywords,shout,deterministic", "NEXUS_PLUGIN_CALL_TIMEOUT=30s")
	c := client{t, p.http, operatorKey}
	document := someDocument(c)

	key, ok := client{t, p.http, adminKey}.post("/api/v1/auth/keys", http.StatusCreated, map[string]any{"owner": "keywords", "role": "plugin"})["api_key"].(string)
	require.True(t, ok)
	_, refused, _ := client{t, p.http, key}.call(http.MethodGet, "/api/v1/documents", nil)
	require.Equal(t, "Role 'plugin' lacks required permission 'viewer'", refused["detail"])
	program := testkit.Node(t, "examples/plugins/node", "keywords.mjs", "NATS_URL="+p.nats, "NEXUS_PLUGIN_KEY="+key)
	program.Said("keywords answers")

	run := c.post("/api/v1/analyze", http.StatusOK, map[string]any{"document_id": document, "plugin_profile": "mixed"})
	require.Equal(t, "completed", run["status"])
	provenance := object(t, run["plugin_provenance"])
	require.Equal(t, "keywords", object(t, provenance["token"])["provider_name"], "%v", provenance)
	require.Equal(t, "shout", object(t, provenance["pragmatics"])["provider_name"], "%v", provenance)
	require.Equal(t, "plugin_unsupported:keywords", object(t, provenance["pragmatics"])["fallback_reason"])
	require.Equal(t, "deterministic", object(t, provenance["rhetoric"])["provider_name"])
	require.Contains(t, object(t, object(t, run["layers"])["token"]), "keywords")
	require.Contains(t, object(t, object(t, run["layers"])["pragmatics"]), "shouted_words")

	plugins, ok := client{t, p.http, viewerKey}.get("/api/v1/plugins")["plugins"].([]any)
	require.True(t, ok)
	kinds := map[string]any{}
	for _, one := range plugins {
		plugin := object(t, one)
		for _, field := range []string{"name", "version", "kind", "modalities", "layers", "health", "last_errors", "latency"} {
			require.Contains(t, plugin, field)
		}
		kinds[plugin["name"].(string)] = plugin["kind"]
		if plugin["name"] != "ml_stub" {
			require.Equal(t, "ok", plugin["health"], "%v", plugin)
			require.Positive(t, object(t, plugin["latency"])["calls"])
		}
	}
	require.Equal(t, map[string]any{"deterministic": "go", "ml_stub": "go", "keywords": "nats", "shout": "wasm"}, kinds)

	// The key ends, and with it the plugin; the analysis goes on.
	for _, k := range object(t, map[string]any{"keys": client{t, p.http, adminKey}.get("/api/v1/auth/keys")["keys"]})["keys"].([]any) {
		if k := object(t, k); k["owner"] == "keywords" {
			status, answer, _ := client{t, p.http, adminKey}.call(http.MethodPatch, "/api/v1/auth/keys/"+k["api_key_id"].(string), map[string]any{"enabled": false})
			require.Equal(t, http.StatusOK, status, "%v", answer)
		}
	}
	require.Eventually(t, func() bool {
		run := c.post("/api/v1/analyze", http.StatusOK, map[string]any{"document_id": document, "plugin_profile": "mixed", "layers": []string{"token"}})
		token := object(t, object(t, run["plugin_provenance"])["token"])
		return token["provider_name"] == "deterministic" && strings.Contains(token["fallback_reason"].(string), "keywords:nobody answers")
	}, patience, 200*time.Millisecond)
}

// TestShadows: the shadow is a job of its own, compared layer by layer; one that
// never ends costs its run nothing.
func TestShadows(t *testing.T) {
	t.Parallel()
	p := oneProcess(t, "NEXUS_SHADOW_EXECUTION_ENABLED=true", "NEXUS_PLUGIN_ML_ENABLED=true", "NEXUS_PLUGIN_NATS_NAMES=stuck",
		"NEXUS_PLUGIN_PROFILES=stuck=stuck", "NEXUS_PLUGIN_CALL_TIMEOUT=20s")
	document := someDocument(client{t, p.http, operatorKey})
	// The feature ml_plugins is for admins.
	c := client{t, p.http, adminKey}
	run := c.post("/api/v1/analyze", http.StatusOK, map[string]any{"document_id": document, "execution_mode": "shadow"})
	require.Equal(t, "shadow_queued", run["status"])
	require.Len(t, run["layers"], 9)
	job := c.finished(run["job_id"].(string))
	require.Equal(t, "succeeded", job["status"], "%v", job["error_text"])
	require.Equal(t, "async", job["execution_mode"])
	url := "/api/v1/analysis/runs/" + run["analysis_run_id"].(string) + "/shadow"
	side := c.get(url)
	require.Equal(t, "succeeded", side["shadow_status"])
	require.Equal(t, run["job_id"], side["shadow_job_id"])
	require.Equal(t, "shadow", object(t, side["primary"])["execution_mode"])
	require.Equal(t, "deterministic", object(t, side["primary"])["plugin_profile"])
	require.Equal(t, "ml_first", object(t, side["shadow"])["plugin_profile"])
	comparison := object(t, side["comparison"])
	require.Len(t, comparison["changed_layers"], 9)
	token := object(t, object(t, comparison["layers"])["token"])
	require.Equal(t, true, token["changed"])
	require.InDelta(t, .1, token["confidence_delta"], 1e-9)
	require.Contains(t, token, "runtime_delta_ms")
	status, problem, _ := c.call(http.MethodGet, "/api/v1/analysis/runs/"+object(t, side["shadow"])["analysis_run_id"].(string)+"/shadow", nil)
	require.Equal(t, http.StatusNotFound, status, "%v", problem)

	// A plugin that never answers, in the shadow only.
	hung := hangingPlugin(t, p)
	started := time.Now()
	code, submitted, _ := c.call(http.MethodPost, "/api/v1/jobs/submit", map[string]any{
		"job_type": "analyze", "execution_mode": "shadow", "payload": map[string]any{"document_id": document, "shadow_profile": "stuck"},
	})
	require.Equal(t, http.StatusOK, code, "%v", submitted)
	require.Equal(t, "succeeded", submitted["status"])
	require.Equal(t, "shadow", submitted["execution_mode"])
	testkit.Receive(t, hung)
	again := c.post("/api/v1/analyze", http.StatusOK, map[string]any{"document_id": document})
	require.Equal(t, "completed", again["status"])
	require.Less(t, time.Since(started), 20*time.Second, "nobody waits for the shadow")
	require.Equal(t, "running", c.get("/api/v1/jobs/" + submitted["shadow_job_id"].(string))["status"])
	require.Equal(t, "succeeded", c.finished(submitted["shadow_job_id"].(string))["status"], "and it ends by its limit")
}

// hangingPlugin is called and never answers.
func hangingPlugin(t *testing.T, p platform) <-chan struct{} {
	t.Helper()
	key, ok := client{t, p.http, adminKey}.post("/api/v1/auth/keys", http.StatusCreated, map[string]any{"owner": "stuck", "role": "plugin"})["api_key"].(string)
	require.True(t, ok)
	nc, err := nats.Connect(p.nats, nats.Token(key))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	called := make(chan struct{}, 100)
	_, err = nc.Subscribe("nexus.plugin.stuck", func(*nats.Msg) { called <- struct{}{} })
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return called
}

// TestAnalysisRoutes checks every field that clients of the routes read.
func TestAnalysisRoutes(t *testing.T) {
	t.Parallel()
	p := oneProcess(t)
	c := client{t, p.http, operatorKey}
	document := someDocument(c)
	run := c.post("/api/v1/analyze", http.StatusOK, map[string]any{"document_id": document})
	hasFields(t, run, "analysis_run_id", "mode", "layers", "confidence_bundle", "hypergraph_ids", "plugin_provenance", "job_id", "status")
	require.Nil(t, run["job_id"])
	require.Equal(t, "PUBLIC", run["mode"])
	for name, provenance := range object(t, run["plugin_provenance"]) {
		hasFields(t, object(t, provenance), "provider_name", "provider_version", "runtime_ms", "fallback_reason")
		require.Contains(t, object(t, run["confidence_bundle"]), name)
	}
	layers := object(t, run["layers"])
	for name, want := range map[string][]string{
		"token":            {"token_count", "unique_tokens", "top_tokens"},
		"morphology":       {"avg_word_length", "long_word_ratio", "suffix_signals"},
		"syntax":           {"sentence_count", "avg_sentence_length", "clause_markers"},
		"semantics":        {"named_entities", "event_candidates", "semantic_density"},
		"pragmatics":       {"question_count", "exclamation_count", "hedge_count", "speech_act_hint"},
		"discourse":        {"paragraph_count", "connective_count", "pdf_hints"},
		"sociolinguistics": {"contraction_count", "formality_score", "register_hint"},
		"rhetoric":         {"ethos_score", "pathos_score", "logos_score", "strategies", "fallacies", "explainability"},
		"semiotic":         {"emoji_count", "glyph_count", "symbol_density"},
	} {
		hasFields(t, object(t, layers[name]), want...)
	}

	list, ok := c.get("/api/v1/analysis/runs?limit=1")["runs"].([]any)
	require.True(t, ok)
	require.Len(t, list, 1)
	head := []string{"analysis_run_id", "document_id", "branch_id", "mode", "execution_mode", "plugin_profile", "created_at"}
	hasFields(t, object(t, list[0]), head...)
	require.Equal(t, "sync", object(t, list[0])["execution_mode"])
	kept := c.get("/api/v1/analysis/runs/" + run["analysis_run_id"].(string))
	hasFields(t, kept, append(head, "layers", "confidence_bundle", "results", "run_metadata", "layer_outputs")...)
	require.Equal(t, run["layers"], kept["results"])
	require.Equal(t, run["confidence_bundle"], kept["confidence_bundle"])
	outputs, ok := kept["layer_outputs"].([]any)
	require.True(t, ok)
	hasFields(t, object(t, outputs[0]), "layer_name", "output", "confidence", "provider_name", "provider_version", "runtime_ms", "fallback_reason")

	queued := c.post("/api/v1/analyze", http.StatusOK, map[string]any{"document_id": document, "execution_mode": "async"})
	hasFields(t, queued, "analysis_run_id", "mode", "layers", "confidence_bundle", "hypergraph_ids", "plugin_provenance", "job_id", "status")
	require.Nil(t, queued["analysis_run_id"])
	require.Empty(t, queued["layers"])
	require.Equal(t, "succeeded", c.finished(queued["job_id"].(string))["status"])
	require.Equal(t, "completed", c.post("/api/v1/analyze", http.StatusOK, map[string]any{"document_id": document, "execution_mode": "shadow"})["status"], "shadow is off")

	for _, wrong := range []struct {
		status int
		body   map[string]any
		detail string
	}{
		{400, map[string]any{}, "give the document_id or the branch_id"},
		{404, map[string]any{"document_id": uuid.NewString()}, "Document not found"},
		{404, map[string]any{"document_id": "seven"}, "Document not found"},
		{400, map[string]any{"document_id": document, "layers": []string{"astrology"}}, "known layers are token, morphology"},
		{403, map[string]any{"document_id": document, "mode": "RAW"}, "Mode 'RAW' is not allowed"},
	} {
		problem := c.post("/api/v1/analyze", wrong.status, wrong.body)
		require.Contains(t, problem["detail"], wrong.detail)
	}

	rhetoric := []string{"ethos_score", "pathos_score", "logos_score", "strategies", "fallacies", "explainability"}
	scored := c.post("/api/v1/rhetorical_analysis", http.StatusOK, map[string]any{"text": "Trust the evidence.", "audience_profile": map[string]any{}})
	hasFields(t, scored, rhetoric...)
	hasFields(t, object(t, scored["explainability"]), "token_count", "marker_counts", "linked_spans")
	require.Equal(t, []any{"ethos", "logos"}, scored["strategies"])
	hasFields(t, c.post("/api/v1/rhetorical_analysis", http.StatusOK, map[string]any{"document_id": document}), rhetoric...)
	require.EqualValues(t, 0, c.post("/api/v1/rhetorical_analysis", http.StatusOK, map[string]any{})["ethos_score"])
	c.post("/api/v1/rhetorical_analysis", http.StatusNotFound, map[string]any{"document_id": uuid.NewString()})
}

func hasFields(t testing.TB, m map[string]any, names ...string) {
	t.Helper()
	for _, name := range names {
		require.Contains(t, m, name)
	}
}
