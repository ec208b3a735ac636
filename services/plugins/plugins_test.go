package plugins_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/run"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
	"nexus.internal/migrations"
	"nexus.internal/services/plugins"
	"nexus.internal/services/plugins/internal/fakecorpus"
)

func defaults(t *testing.T, environ map[string]string) plugins.Config {
	t.Helper()
	var cfg plugins.Config
	require.NoError(t, config.Load(&cfg, environ))
	return cfg
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, plugins.Config{
		CallTimeout: 10 * time.Second, OutputLimit: 256 << 10, MaxCalls: 8, Failures: 5, RestFor: 30 * time.Second, WASMMemory: 64,
		MaxTextBytes: 16 << 20, WorkerConcurrency: 2,
	}, defaults(t, nil))
	require.True(t, defaults(t, map[string]string{"NEXUS_PLUGIN_ML_ENABLED": "true"}).MLEnabled)
}

func TestBadSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	var cfg plugins.Config
	err := config.Load(&cfg, map[string]string{
		"NEXUS_PLUGIN_CALL_TIMEOUT": "0s", "NEXUS_PLUGIN_OUTPUT_LIMIT": "1", "NEXUS_PLUGIN_MAX_CALLS": "0",
		"NEXUS_PLUGIN_NATS_NAMES": "a.b", "NEXUS_PLUGIN_TIMEOUTS": "keywords=0s", "NEXUS_PLUGIN_PROFILES": "ml_only=x",
		"NEXUS_PLUGIN_BREAKER_FAILURES": "0", "NEXUS_PLUGIN_BREAKER_REST": "-1s", "NEXUS_PLUGIN_WASM_MEMORY_MIB": "0",
		"NEXUS_PLUGIN_MAX_TEXT_BYTES": "0", "NEXUS_PLUGIN_WORKER_CONCURRENCY": "0",
	})
	for _, name := range []string{
		"PLUGIN_CALL_TIMEOUT", "PLUGIN_OUTPUT_LIMIT", "PLUGIN_MAX_CALLS", "PLUGIN_MAX_TEXT_BYTES",
		"PLUGIN_WORKER_CONCURRENCY", "PLUGIN_NATS_NAMES", "PLUGIN_TIMEOUTS", "PLUGIN_PROFILES", "PLUGIN_BREAKER_FAILURES",
		"PLUGIN_BREAKER_REST", "PLUGIN_WASM_MEMORY_MIB",
	} {
		require.ErrorContains(t, err, "NEXUS_"+name)
	}
	_, err = plugins.New(cfg, plugins.Deps{})
	require.Error(t, err)
	require.ErrorContains(t, config.Load(&cfg, map[string]string{"NEXUS_PLUGIN_OUTPUT_LIMIT": "1048576"}),
		"NEXUS_PLUGIN_OUTPUT_LIMIT is 1048576: want 16384 to 917504")
}

// jobs stands in for the jobs service: it grants one job and takes its result.
type jobs struct {
	grant    contract.Grant
	finished chan contract.RunResult
}

func (j jobs) component(nc *nats.Conn) run.Component {
	rpc := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "jobs")
	bus.Handle(rpc, contract.RPCJobsClaim, func(_ context.Context, req contract.ClaimRequest) (contract.ClaimReply, error) {
		reply := contract.ClaimReply{LeaseSeconds: 30}
		for _, c := range req.Claims {
			if c.JobID == j.grant.JobID {
				granted := j.grant
				granted.LeaseToken = c.LeaseToken
				reply.Granted = append(reply.Granted, granted)
			}
		}
		return reply, nil
	})
	bus.Handle(rpc, contract.RPCJobsHeartbeat, func(context.Context, contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
		return contract.HeartbeatReply{}, nil
	})
	bus.Handle(rpc, contract.RPCJobsFinish, func(_ context.Context, req contract.FinishRequest) (contract.FinishReply, error) {
		var reply contract.FinishReply
		for _, r := range req.Results {
			reply.Verdicts = append(reply.Verdicts, contract.FinishVerdict{JobID: r.JobID, Accepted: true, Status: contract.StatusSucceeded})
			j.finished <- r
		}
		return reply, nil
	})
	return rpc
}

// TestAnalyzeJob drives the whole service: a run message in, a result out, and
// the run to be read afterwards.
func TestAnalyzeJob(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	document := uuid.NewString()
	fakecorpus.Start(t, nc, 1<<19).Put(document, fakecorpus.Document{Text: "Ada walked home."})
	j := jobs{
		finished: make(chan contract.RunResult, 1),
		grant: contract.Grant{
			JobID: uuid.NewString(), JobType: contract.JobAnalyze, Attempt: 1, MaxAttempts: 3, TimeoutSeconds: 60, CreatedBy: "dev-operator",
			Payload: json.RawMessage(fmt.Sprintf(`{"document_id":%q,"plugin_profile":"ml_first"}`, document)),
		},
	}
	db := testkit.OpenPostgres(t, testkit.PostgresURL(t), migrations.Role("plugins"))
	service, err := plugins.New(
		defaults(t, map[string]string{"NEXUS_PLUGIN_ML_ENABLED": "true"}),
		plugins.Deps{NC: nc, JS: js, DB: db, Log: zerolog.Nop(), Tracer: noop.NewTracerProvider(), Worker: worker.Settings{Name: "tester", LeaseSeconds: 30, GraceSeconds: 5}},
	)
	require.NoError(t, err)
	access := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "auth")
	bus.Handle(access, contract.RPCAuthAllowed, func(_ context.Context, req contract.AllowedRequest) (contract.AllowedReply, error) {
		return contract.AllowedReply{Allowed: req == contract.AllowedRequest{Feature: contract.FeatureMLPlugins, Owner: "dev-operator"}}, nil
	})
	testkit.Start(t, append([]run.Component{access, j.component(nc)}, service.Components()...)...)

	subject, err := contract.RunSubject(contract.QueuePlugins, contract.PriorityNormal, contract.JobAnalyze, j.grant.JobID)
	require.NoError(t, err)
	message, err := json.Marshal(contract.RunMessage{JobIDs: []string{j.grant.JobID}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), subject, message)
	require.NoError(t, err)

	finished := testkit.Receive(t, j.finished)
	require.Equal(t, contract.OutcomeSucceeded, finished.Outcome, finished.ErrorText)
	var result contract.AnalyzeResult
	require.NoError(t, json.Unmarshal(finished.Result, &result))
	require.Len(t, result.Layers, 9)
	require.Equal(t, "ml_stub", result.PluginProvenance["rhetoric"].Provider)
	require.Len(t, finished.Artifacts, 1)

	kept, err := bus.Call[contract.AnalysisRun](t.Context(), nc, contract.RPCPluginsRun, contract.AnalysisRunRequest{AnalysisRunID: result.AnalysisRunID})
	require.NoError(t, err)
	require.Len(t, kept.LayerOutputs, 9)
	for _, o := range kept.LayerOutputs {
		require.JSONEq(t, string(result.Layers[o.Layer]), string(o.Output))
	}
	listed, err := bus.Call[contract.AnalysisRunsReply](t.Context(), nc, contract.RPCPluginsRuns, contract.AnalysisRunsRequest{DocumentID: document})
	require.NoError(t, err)
	require.Equal(t, []contract.AnalysisRunSummary{kept.AnalysisRunSummary}, listed.Runs)
	health, err := bus.Call[contract.PluginsHealthReply](t.Context(), nc, contract.RPCPluginsHealth, contract.PluginsHealthRequest{})
	require.NoError(t, err)
	require.Len(t, health.Plugins, 2)

	_, err = bus.Call[contract.AnalysisRun](t.Context(), nc, contract.RPCPluginsRun, contract.AnalysisRunRequest{AnalysisRunID: uuid.NewString()})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

func TestComponentsInOrder(t *testing.T) {
	t.Parallel()
	cfg := defaults(t, nil)
	service, err := plugins.New(cfg, plugins.Deps{Log: zerolog.Nop(), Tracer: noop.NewTracerProvider(), Worker: worker.Settings{Name: "tester", LeaseSeconds: 30, GraceSeconds: 5}})
	require.NoError(t, err)
	names := []string{}
	for _, c := range service.Components() {
		names = append(names, c.Name())
	}
	require.Equal(t, []string{"nexus-plugins rpc", "worker plugins"}, names)
}

// Who asks whether the service can work learns of a database that is away.
func TestPingAsksTheDatabase(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	db := testkit.OpenPostgres(t, testkit.PostgresURL(t), migrations.Role("plugins"))
	s, err := plugins.New(defaults(t, nil), plugins.Deps{
		NC: nc, JS: testkit.JetStream(t, nc), DB: db, Log: zerolog.Nop(), Tracer: noop.NewTracerProvider(), Worker: worker.Settings{Apart: true},
	})
	require.NoError(t, err)
	testkit.Start(t, s.Components()...)
	_, err = bus.Call[struct{}](t.Context(), nc, contract.RPCPing("plugins"), struct{}{})
	require.NoError(t, err)
	db.Close()
	_, err = bus.Call[struct{}](t.Context(), nc, contract.RPCPing("plugins"), struct{}{})
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.EqualError(t, err, "Postgres does not answer.")
}
