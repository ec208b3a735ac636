package corpus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
	"nexus.internal/migrations"
	"nexus.internal/services/corpus"
)

// settings reads settings as a process does.
func settings(t *testing.T, environ map[string]string) corpus.Config {
	t.Helper()
	var cfg corpus.Config
	require.NoError(t, config.Load(&cfg, environ))
	return cfg
}

func TestSettings(t *testing.T) {
	t.Parallel()
	cfg := settings(t, nil)
	require.Equal(t, "examples/corpus", cfg.CorpusRoot)
	require.EqualValues(t, 16<<20, cfg.MaxFileBytes)
	require.Equal(t, 10_000, cfg.MaxFiles)

	cfg = settings(t, map[string]string{"NEXUS_CORPUS_ROOT": "/x", "NEXUS_OBJECT_STORAGE_ROOT": "/y", "NEXUS_CORPUS_MAX_FILES": "7"})
	require.Equal(t, "/x", cfg.CorpusRoot)
	require.Equal(t, "/y", cfg.ObjectStorageRoot)
	require.Equal(t, 7, cfg.MaxFiles)
}

func TestBadSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	err := corpus.Config{MaxFileBytes: 1 << 40, WorkerConcurrency: -1}.Validate()
	for _, name := range []string{
		"NEXUS_CORPUS_ROOT", "NEXUS_CORPUS_MAX_FILE_BYTES is 1099511627776: want 1 to 268435456", "NEXUS_CORPUS_MAX_FILES",
		"NEXUS_CORPUS_PARALLEL_FILES", "NEXUS_CORPUS_WORKER_CONCURRENCY is -1",
	} {
		require.ErrorContains(t, err, name)
	}
	_, err = corpus.New(t.Context(), corpus.Config{}, corpus.Deps{})
	require.ErrorContains(t, err, "corpus settings")
	_, err = corpus.New(t.Context(), settings(t, nil), corpus.Deps{})
	require.ErrorContains(t, err, "NEXUS_OBJECT_STORAGE_ROOT is empty")
}

// jobs stands in for the jobs service: it grants one claim and keeps what is
// reported.
type jobs struct {
	grant    contract.Grant
	finished chan contract.RunResult
}

func startJobs(t *testing.T, nc *nats.Conn, grant contract.Grant) *jobs {
	t.Helper()
	j := &jobs{grant: grant, finished: make(chan contract.RunResult, 10)}
	service := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "jobs")
	bus.Handle(service, contract.RPCJobsClaim, func(_ context.Context, req contract.ClaimRequest) (contract.ClaimReply, error) {
		granted := j.grant
		granted.LeaseToken = req.Claims[0].LeaseToken
		return contract.ClaimReply{Granted: []contract.Grant{granted}, LeaseSeconds: 30}, nil
	})
	bus.Handle(service, contract.RPCJobsHeartbeat, func(context.Context, contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
		return contract.HeartbeatReply{}, nil
	})
	bus.Handle(service, contract.RPCJobsFinish, func(_ context.Context, req contract.FinishRequest) (contract.FinishReply, error) {
		var reply contract.FinishReply
		for _, result := range req.Results {
			j.finished <- result
			reply.Verdicts = append(reply.Verdicts, contract.FinishVerdict{JobID: result.JobID, Accepted: true, Status: contract.StatusSucceeded})
		}
		return reply, nil
	})
	testkit.Start(t, service)
	return j
}

func TestAJobIsRunAndItsWorkCanBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.md"), []byte("# Title\n\nSome text."), 0o600))
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	const jobID = "0190b0a0-0000-7000-8000-000000000001"
	j := startJobs(t, nc, contract.Grant{
		JobID: jobID, JobType: contract.JobIngestBatch, Attempt: 1, MaxAttempts: 3, TimeoutSeconds: 60, Payload: json.RawMessage(`{}`),
	})
	service, err := corpus.New(t.Context(), settings(t, map[string]string{
		"NEXUS_CORPUS_ROOT": dir, "NEXUS_OBJECT_STORAGE_ROOT": t.TempDir(),
	}), corpus.Deps{
		Worker: worker.Settings{Name: "tester", LeaseSeconds: 30, GraceSeconds: 5},
		NC:     nc, JS: js, DB: testkit.OpenPostgres(t, testkit.PostgresURL(t), migrations.Role("corpus")),
		Log: zerolog.Nop(), Tracer: noop.NewTracerProvider(),
	})
	require.NoError(t, err)
	testkit.Start(t, service.Components()...)

	subject, err := contract.RunSubject(contract.QueueCorpus, contract.PriorityNormal, contract.JobIngestBatch, jobID)
	require.NoError(t, err)
	data, err := json.Marshal(contract.RunMessage{JobIDs: []string{jobID}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), subject, data)
	require.NoError(t, err)

	run := testkit.Receive(t, j.finished)
	require.Equal(t, contract.OutcomeSucceeded, run.Outcome, run.ErrorText)
	require.Len(t, run.Artifacts, 1)
	var result contract.IngestBatchResult
	require.NoError(t, json.Unmarshal(run.Result, &result))
	require.Equal(t, 1, result.DocumentsIngested)

	ingest, err := bus.Call[contract.IngestJob](t.Context(), nc, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: result.IngestJobID})
	require.NoError(t, err)
	require.Equal(t, result, ingest.IngestBatchResult)
	d, err := bus.Call[contract.Document](t.Context(), nc, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: *ingest.Files[0].DocumentID})
	require.NoError(t, err)
	require.Equal(t, "a.md", d.Title)
}

func TestAMissingCorpusRootIsAWarningAtStart(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	nc := testkit.NATS(t)
	service, err := corpus.New(t.Context(), settings(t, map[string]string{
		"NEXUS_CORPUS_ROOT": filepath.Join(t.TempDir(), "absent"), "NEXUS_OBJECT_STORAGE_ROOT": t.TempDir(),
	}), corpus.Deps{
		Worker: worker.Settings{Name: "tester", LeaseSeconds: 30, GraceSeconds: 5},
		NC:     nc, JS: testkit.JetStream(t, nc), DB: testkit.OpenPostgres(t, testkit.PostgresURL(t), migrations.Role("corpus")),
		Log: zerolog.New(&log), Tracer: noop.NewTracerProvider(),
	})
	require.NoError(t, err)
	require.Len(t, service.Components(), 3)
	require.Contains(t, log.String(), `"level":"warn"`)
	require.Contains(t, log.String(), "NEXUS_CORPUS_ROOT")
}

// Who asks whether the service can work learns of a database that is away.
func TestPingAsksTheDatabase(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	db := testkit.OpenPostgres(t, testkit.PostgresURL(t), migrations.Role("corpus"))
	s, err := corpus.New(t.Context(), settings(t, map[string]string{"NEXUS_OBJECT_STORAGE_ROOT": t.TempDir()}), corpus.Deps{
		NC: nc, JS: testkit.JetStream(t, nc), DB: db, Log: zerolog.Nop(), Tracer: noop.NewTracerProvider(), Worker: worker.Settings{Apart: true},
	})
	require.NoError(t, err)
	testkit.Start(t, s.Components()...)
	_, err = bus.Call[struct{}](t.Context(), nc, contract.RPCPing("corpus"), struct{}{})
	require.NoError(t, err)
	db.Close()
	_, err = bus.Call[struct{}](t.Context(), nc, contract.RPCPing("corpus"), struct{}{})
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.EqualError(t, err, "Postgres does not answer.")
}
