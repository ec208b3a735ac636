package contract_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

var update = flag.Bool("update", false, "write the golden files anew")

// messages are the types that travel or are kept. A change of the JSON of one
// of them meets messages and rows that were written before it.
func messages() []any {
	return []any{
		contract.AnalysisRun{},
		contract.SeedsRequest{},
		contract.SeedsReply{},
		contract.SeedText{},
		contract.SeedRequest{},
		contract.SeedReply{},
		contract.AnalysisRunRequest{},
		contract.AnalysisRunSummary{},
		contract.AnalysisRunsReply{},
		contract.AnalysisRunsRequest{},
		contract.AnalyzeArtifact{},
		contract.AnalyzePayload{},
		contract.AnalyzeResult{},
		contract.Artifact{},
		contract.Atom{},
		contract.Atomization{},
		contract.AtomsReply{},
		contract.AtomsRequest{},
		contract.Attempt{},
		contract.AudioSegments{},
		contract.ImageSegments{},
		contract.PDFSegments{},
		contract.AuditEntry{},
		contract.AuditQuery{},
		contract.AuditReply{},
		contract.DeadLetter{},
		contract.DeadLetterChange{},
		contract.DeadLetterMark{},
		contract.DeadLetterQuery{},
		contract.DeadLetterRequest{},
		contract.DeadLetterSummary{},
		contract.DeadLettersReply{},
		contract.MarkDeadLetterRequest{},
		contract.APIKey{},
		contract.LogLevel{},
		contract.LogLevelChange{},
		contract.LogLevelRequest{},
		contract.LogLevels{},
		contract.AllowedReply{},
		contract.AllowedRequest{},
		contract.Asker{},
		contract.AuthDecision{},
		contract.CreateKeyRequest{},
		contract.CreatedKey{},
		contract.Feature{},
		contract.FeatureChange{},
		contract.FeaturesReply{},
		contract.IssueTokenRequest{},
		contract.JSONWebKey{},
		contract.KeyChange{},
		contract.KeyRequest{},
		contract.KeySetReply{},
		contract.KeysReply{},
		contract.ListKeysRequest{},
		contract.PeerBeat{},
		contract.RefreshTokenRequest{},
		contract.RotateKeyRequest{},
		contract.TakeReply{},
		contract.TakeRequest{},
		contract.Token{},
		contract.UpdateFeatureRequest{},
		contract.UpdateKeyRequest{},
		contract.AtomRef{},
		contract.BranchItem{},
		contract.BranchReplayArtifact{},
		contract.BranchReplayPayload{},
		contract.BranchRequest{},
		contract.BranchTextRequest{},
		contract.BranchesReply{},
		contract.BranchesRequest{},
		contract.CompareRequest{},
		contract.Comparison{},
		contract.DecisionsReply{},
		contract.DecisionsRequest{},
		contract.EvolveEvent{},
		contract.EvolveReply{},
		contract.EvolveRequest{},
		contract.GovernReply{},
		contract.GovernRequest{},
		contract.GovernanceChange{},
		contract.GraphCount{},
		contract.GraphEdge{},
		contract.GraphEdgeMetadata{},
		contract.GraphNode{},
		contract.GraphReply{},
		contract.GraphRequest{},
		contract.MergeReply{},
		contract.MergeRequest{},
		contract.NodeMetadata{},
		contract.PolicyDecision{},
		contract.RemixArtifact{},
		contract.RemixItem{},
		contract.RemixRef{},
		contract.RemixReply{},
		contract.RemixRequest{},
		contract.RemixesReply{},
		contract.RemixesRequest{},
		contract.Replay{},
		contract.ReplaySnapshot{},
		contract.SourceLink{},
		contract.Timeline{},
		contract.TimelineEvent{},
		contract.Visualization{},
		contract.VisualizationEdge{},
		contract.VisualizationNode{},
		contract.VisualizationSummary{},
		contract.ClaimReply{},
		contract.ClaimRequest{},
		contract.CreatedArtifact{},
		contract.CrossModalLink{},
		contract.Document{},
		contract.DocumentItem{},
		contract.DocumentRequest{},
		contract.DocumentsReply{},
		contract.DocumentsRequest{},
		contract.Event{},
		contract.FinishReply{},
		contract.FinishRequest{},
		contract.FinishVerdict{},
		contract.Grant{},
		contract.GraphIntegrity{},
		contract.HeartbeatReply{},
		contract.HeartbeatRequest{},
		contract.HypergraphIDs{},
		contract.Inconsistency{},
		contract.IngestBatchArtifact{},
		contract.IngestBatchPayload{},
		contract.IngestBatchResult{},
		contract.IngestFile{},
		contract.IngestJob{},
		contract.IngestJobRequest{},
		contract.IngestParseOptions{},
		contract.IntegrityAuditResult{},
		contract.IntegrityRequest{},
		contract.Job{},
		contract.JobChange{},
		contract.ProgressChange{},
		contract.QueueChange{},
		contract.JobTypeChange{},
		contract.WorkersReply{},
		contract.Worker{},
		contract.SubmitPart{},
		contract.SetJobTypeRequest{},
		contract.RetryJobsRequest{},
		contract.RetryJobsReply{},
		contract.QueuesReply{},
		contract.Queue{},
		contract.PayloadRequest{},
		contract.OutputRequest{},
		contract.PutRequest{},
		contract.PutReply{},
		contract.PayloadReply{},
		contract.PauseQueueRequest{},
		contract.JobProgress{},
		contract.JobCounts{},
		contract.JobRequest{},
		contract.JobSummary{},
		contract.JobType{},
		contract.JobTypesReply{},
		contract.LaneCounts{},
		contract.LayerDifference{},
		contract.LayerOutput{},
		contract.LayerProvenance{},
		contract.LeaseRef{},
		contract.Progress{},
		contract.ListJobsReply{},
		contract.ListJobsRequest{},
		contract.OwnerRequest{},
		contract.ParagraphBlock{},
		contract.PluginAnswer{},
		contract.PluginCall{},
		contract.PluginDescription{},
		contract.PluginError{},
		contract.PluginHealth{},
		contract.PluginLatency{},
		contract.PluginsHealthReply{},
		contract.PluginsHealthRequest{},
		contract.Provenance{},
		contract.Rejection{},
		contract.RhetoricReply{},
		contract.RhetoricRequest{},
		contract.ShadowComparison{},
		contract.ShadowReply{},
		contract.ShadowRequest{},
		contract.RunMessage{},
		contract.RunResult{},
		contract.SiblingDocument{},
		contract.StaleLease{},
		contract.Submission{},
		contract.SubmitCommand{},
		contract.SubmitReply{},
		contract.SubmitVerdict{},
		contract.TextReply{},
		contract.TextRequest{},
		contract.TextSegments{},
		contract.VerifyReply{},
		contract.VerifyRequest{},
		contract.CreateWebhookRequest{},
		contract.DeliveriesReply{},
		contract.DeliveriesRequest{},
		contract.JobWebhook{},
		contract.JobWebhooksReply{},
		contract.JobWebhooksRequest{},
		contract.ListWebhooksRequest{},
		contract.RedeliverRequest{},
		contract.UpdateWebhookRequest{},
		contract.Webhook{},
		contract.WebhookAsker{},
		contract.WebhookChange{},
		contract.WebhookDelivery{},
		contract.WebhookRequest{},
		contract.WebhookSecret{},
		contract.WebhookSecretRequest{},
		contract.WebhookWithSecret{},
		contract.WebhooksReply{},
	}
}

// golden is what the file of a type holds: the JSON of the zero value, which
// shows what is left out, and of one with every field set.
type golden struct {
	Empty json.RawMessage `json:"empty"`
	Full  json.RawMessage `json:"full"`
}

func TestShapesAreThoseOfTheGoldenFiles(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() {
		kept, err := filepath.Glob(filepath.Join("testdata", "golden", "*.json"))
		require.NoError(t, err)
		require.Len(t, kept, len(messages()), "a golden file belongs to no type")
	})
	for _, message := range messages() {
		typ := reflect.TypeOf(message)
		t.Run(typ.Name(), func(t *testing.T) {
			t.Parallel()
			full := reflect.New(typ)
			fill(full.Elem(), typ.Name())
			got := indent(t, golden{Empty: encode(t, message), Full: encode(t, full.Interface())})
			path := filepath.Join("testdata", "golden", typ.Name()+".json")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, got, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err, "a new type: write its file with -update")
			require.Equal(t, string(want), string(got), "the JSON of %s has changed: services of the last version and stored rows have the old one", typ.Name())

			var stored golden
			require.NoError(t, json.Unmarshal(want, &stored))
			for _, data := range []json.RawMessage{stored.Empty, stored.Full} {
				back := reflect.New(typ)
				require.NoError(t, json.Unmarshal(data, back.Interface()))
				require.JSONEq(t, string(data), string(encode(t, back.Interface())), "it is read back whole")
			}
		})
	}
}

// A type that nobody listed above is not looked after.
func TestEveryMessageHasAGoldenFile(t *testing.T) {
	t.Parallel()
	// Descriptions of the broker's set-up; they are not sent.
	declared := map[string]bool{"Stream": false, "Consumer": false, "Lane": false}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			if _, isStruct := spec.Type.(*ast.StructType); isStruct {
				if _, excepted := declared[spec.Name.Name]; !excepted {
					declared[spec.Name.Name] = true
				}
			}
			return true
		})
	}
	maps.DeleteFunc(declared, func(_ string, sent bool) bool { return !sent })
	var listed []string
	for _, message := range messages() {
		listed = append(listed, reflect.TypeOf(message).Name())
	}
	require.Equal(t, slices.Sorted(maps.Keys(declared)), slices.Sorted(slices.Values(listed)))
}

func encode(t *testing.T, v any) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

func indent(t *testing.T, v any) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, encode(t, v), "", "  "))
	out.WriteByte('\n')
	return out.Bytes()
}

// fill gives every field a value, after its name in JSON where it has room.
func fill(v reflect.Value, name string) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2024, 2, 29, 12, 0, 0, 123_456_000, time.UTC)
		return
	case *[]byte:
		*x = []byte(name)
		return
	case *json.RawMessage:
		*x = json.RawMessage(`{"raw":"` + name + `"}`)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			fill(v.Field(i), tag)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, name+" key")
		fill(value, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("the " + name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(0.5)
	default:
		panic("a field of kind " + v.Kind().String() + " needs a value")
	}
}
