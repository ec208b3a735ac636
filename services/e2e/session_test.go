package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// platform is a running Nexus, in one process or in several.
type platform struct {
	http, nats, database string
	// data is the folder that NEXUS_DATA_DIR names.
	data string
	// processes are those it runs in.
	processes []*process
}

// log is what all processes have logged.
func (p platform) log() string {
	var all strings.Builder
	for _, one := range p.processes {
		all.WriteString(one.log())
	}
	return all.String()
}

// maxPayload is small enough for the NATS door to be asked for more.
const maxPayload = "NEXUS_MAX_PAYLOAD_BYTES=262144"

// privateWebhooks lets webhooks reach the receivers of tests.
const privateWebhooks = "NEXUS_WEBHOOKS_ALLOW_PRIVATE=true"

// patientSync waits as long as tests do, on whatever machine.
const patientSync = "NEXUS_SYNC_WAIT_SECONDS=60"

// oneProcess starts everything in one process, on a database of the test
// server.
func oneProcess(t testing.TB, more ...string) platform {
	t.Helper()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpusRoot(t), maxPayload, privateWebhooks, patientSync)
	p := launch(t, t.TempDir(), append(env, more...), "up")
	return platform{http: p.http, nats: p.nats, database: database, data: dir, processes: []*process{p}}
}

// sevenProcesses starts a NATS server and every service as a process of its own.
func sevenProcesses(t testing.TB, more ...string) platform {
	t.Helper()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	server := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dir), "nats")
	env := append(freePorts(), "NEXUS_NATS_URL="+server.nats, "NEXUS_NATS_KEYS_DIR="+dir+"/keys", "NEXUS_DATA_DIR="+dir,
		"NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpusRoot(t), maxPayload, privateWebhooks, patientSync)
	env = append(env, more...)
	out := platform{nats: server.nats, database: database, data: dir, processes: []*process{server}}
	for _, service := range []string{"auth", "audit", "jobs", "corpus", "plugins", "webhooks", "gateway"} {
		p := launch(t, t.TempDir(), env, service)
		out.processes = append(out.processes, p)
		if service == "gateway" {
			out.http = p.http
		}
	}
	return out
}

// forms are the ways to run the platform, with settings besides those of every test.
func forms() map[string]func(t testing.TB, more ...string) platform {
	return map[string]func(testing.TB, ...string) platform{"OneProcess": oneProcess, "SevenProcesses": sevenProcesses}
}

// One body for both: what a newcomer does must not depend on how it runs.
func TestSession(t *testing.T) {
	t.Parallel()
	for name, start := range forms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			t.Run("Access", func(t *testing.T) { access(t, p) })
			t.Run("Analysis", func(t *testing.T) { analysis(t, p) })
			t.Run("Branches", func(t *testing.T) { branches(t, p) })
			t.Run("BothDoors", func(t *testing.T) { bothDoors(t, p) })
			t.Run("Terms", func(t *testing.T) { terms(t, p) })
			t.Run("DeadLetters", func(t *testing.T) { deadLetters(t, p) })
			t.Run("NATSDoorRights", func(t *testing.T) { natsDoorRights(t, p) })
			t.Run("HostileMessages", func(t *testing.T) { hostileMessages(t, p) })
			t.Run("Webhooks", func(t *testing.T) { hooks(t, p) })
			t.Run("AuditTrail", func(t *testing.T) { auditTrail(t, p) })
		})
	}
}

func access(t *testing.T, p platform) {
	require.Equal(t, "ok", client{t, p.http, ""}.get("/healthz")["status"])
	require.Equal(t, "ok", client{t, p.http, ""}.get("/readyz")["status"])
	for key, want := range map[string]struct {
		role  string
		modes []any
	}{
		viewerKey:     {"viewer", []any{}},
		operatorKey:   {"operator", []any{"PUBLIC"}},
		researcherKey: {"researcher", []any{"PUBLIC", "RAW"}},
		adminKey:      {"admin", []any{"PUBLIC", "RAW"}},
	} {
		me := client{t, p.http, key}.get("/api/v1/auth/whoami")
		require.Equal(t, "dev-"+want.role, me["owner"])
		require.Equal(t, want.role, me["role"])
		require.Equal(t, want.modes, me["allowed_modes"])
	}
	for _, key := range []string{"", "wrong", strings.Repeat("x", 600)} {
		status, problem, header := client{t, p.http, key}.call(http.MethodGet, "/api/v1/auth/whoami", nil)
		require.Equal(t, http.StatusUnauthorized, status)
		require.Equal(t, "Missing or invalid API key", problem["detail"])
		require.Equal(t, "unauthorized", problem["code"])
		require.Equal(t, "application/problem+json", header.Get("Content-Type"))
		require.Equal(t, header.Get("X-Request-ID"), problem["request_id"])
	}
	status, problem, _ := client{t, p.http, viewerKey}.call(http.MethodPost, "/api/v1/jobs/submit", map[string]any{"job_type": "ingest_batch"})
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "Role 'viewer' lacks required permission 'operator'", problem["detail"])
}

func analysis(t *testing.T, p platform) {
	c := client{t, p.http, operatorKey}
	id, _ := c.submit(map[string]any{"job_type": "ingest_batch"})
	ingest := c.finished(id)
	require.Equal(t, "succeeded", ingest["status"], "%v", ingest["error_text"])
	artifacts := ingest["artifacts"].([]any)
	require.Len(t, artifacts, 1)
	require.Equal(t, "ingest_batch_result", artifacts[0].(map[string]any)["artifact_type"])
	ingested := artifacts[0].(map[string]any)["artifact_payload"].(map[string]any)
	require.Positive(t, ingested["documents_ingested"])
	record := c.get("/api/v1/ingest/jobs/" + ingested["ingest_job_id"].(string))
	require.NotEmpty(t, record["files"])

	documents := c.get("/api/v1/documents")["documents"].([]any)
	require.NotEmpty(t, documents)
	document := documents[0].(map[string]any)["id"].(string)
	require.NotEmpty(t, c.get("/api/v1/documents/" + document)["provenance"])

	id, status := c.submit(map[string]any{"job_type": "analyze", "execution_mode": "sync", "payload": map[string]any{"document_id": document}})
	require.Equal(t, "succeeded", status, "sync answers with the final status")
	job := c.get("/api/v1/jobs/" + id)
	require.Len(t, job["attempts"], 1)
	require.Len(t, job["artifacts"], 1)
	run := job["artifacts"].([]any)[0].(map[string]any)["artifact_payload"].(map[string]any)
	require.EqualValues(t, 9, run["layer_count"])
	kept := c.get("/api/v1/analysis/runs/" + run["analysis_run_id"].(string))
	require.Len(t, kept["layer_outputs"], 9)

	code, problem, _ := c.call(http.MethodGet, "/api/v1/documents/"+uuid.NewString(), nil)
	require.Equal(t, http.StatusNotFound, code)
	require.Equal(t, "Document not found", problem["detail"])
}

// natsClient connects as an outsider does: with an API key.
func natsClient(t testing.TB, p platform, owner, key string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(p.nats, nats.Token(key), nats.CustomInboxPrefix(contract.InboxPrefix(owner)))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return nc, js
}

// submitter is a door: it has a job recorded, or says why not.
type submitter func(t testing.TB, jobType string, body map[string]any) (jobID, refusal string)

func restDoor(p platform) submitter {
	return func(t testing.TB, jobType string, body map[string]any) (string, string) {
		job := map[string]any{"job_type": jobType}
		for k, v := range body {
			job[k] = v
		}
		status, answer, _ := client{t, p.http, operatorKey}.call(http.MethodPost, "/api/v1/jobs/submit", job)
		if status != http.StatusOK {
			return "", answer["code"].(string)
		}
		return answer["job_id"].(string), ""
	}
}

func natsDoor(t testing.TB, p platform) submitter {
	nc, js := natsClient(t, p, "dev-operator", operatorKey)
	events := make(chan contract.Event, 1000)
	for _, subject := range []string{contract.PatternJobEvents, contract.RejectionPattern("dev-operator")} {
		_, err := nc.Subscribe(subject, func(m *nats.Msg) {
			if pack, err := contract.DecodeEvents(m.Data); err == nil {
				for _, e := range pack {
					events <- e
				}
			}
		})
		require.NoError(t, err)
	}
	require.NoError(t, nc.Flush())
	return func(t testing.TB, jobType string, body map[string]any) (string, string) {
		data, err := json.Marshal(body)
		require.NoError(t, err)
		subject, err := contract.SubmitSubject("dev-operator", jobType)
		require.NoError(t, err)
		msg := nats.NewMsg(subject)
		msg.Data = data
		mark := uuid.NewString()
		msg.Header.Set(contract.HeaderRequestID, mark)
		_, err = js.PublishMsg(t.Context(), msg)
		require.NoError(t, err)
		for {
			e := testkit.Receive(t, events)
			if e.RequestID != mark {
				continue
			}
			if e.Type == contract.EventType(contract.AreaSubmit, contract.WhatRejected) {
				var r contract.Rejection
				require.NoError(t, json.Unmarshal(e.Data, &r))
				return "", r.Code
			}
			var c contract.JobChange
			require.NoError(t, json.Unmarshal(e.Data, &c))
			return c.JobID, ""
		}
	}
}

// The same rules at both doors, and the same id for the same key.
func bothDoors(t *testing.T, p platform) {
	c := client{t, p.http, operatorKey}
	doors := map[string]submitter{"REST": restDoor(p), "NATS": natsDoor(t, p)}
	for name, submit := range doors {
		id, refusal := submit(t, "integrity_audit", map[string]any{"max_attempts": 2})
		require.Empty(t, refusal, name)
		job := c.finished(id)
		require.Equal(t, "succeeded", job["status"], name)
		require.Equal(t, "dev-operator", job["created_by"], name)
		require.EqualValues(t, 2, job["max_attempts"], name)

		for _, bad := range []struct {
			jobType string
			body    map[string]any
			code    string
		}{
			{"nope", map[string]any{}, "unknown_job_type"},
			{"integrity_audit", map[string]any{"payload": []int{1}}, "validation_error"},
			{"integrity_audit", map[string]any{"payload": map[string]string{"a": "\x00"}}, "validation_error"},
			{"integrity_audit", map[string]any{"max_attempts": 11}, "validation_error"},
			{"integrity_audit", map[string]any{"max_attempts": "many"}, "validation_error"},
			{"integrity_audit", map[string]any{"created_by": "dev-admin"}, "validation_error"},
			{"integrity_audit", map[string]any{"idempotency_key": "a\nb"}, "validation_error"},
			{"integrity_audit", map[string]any{"payload": map[string]string{"a": strings.Repeat("x", 256<<10)}}, "too_large"},
			{"analyze", map[string]any{"payload": map[string]string{"mode": "RAW", "document_id": uuid.NewString()}}, "forbidden"},
			{"analyze", map[string]any{"payload": map[string]string{"mode": "LOUD"}}, "validation_error"},
		} {
			_, refusal := submit(t, bad.jobType, bad.body)
			require.Equal(t, bad.code, refusal, "%s: %s %.80v", name, bad.jobType, bad.body)
		}
	}
	key := map[string]any{"idempotency_key": uuid.NewString()}
	first, _ := doors["REST"](t, "integrity_audit", key)
	again, _ := doors["REST"](t, "integrity_audit", key)
	require.Equal(t, first, again)
	key["payload"] = map[string]int{"n": 1}
	_, refusal := doors["REST"](t, "integrity_audit", key)
	require.Equal(t, "conflict", refusal)
	_, refusal = doors["NATS"](t, "integrity_audit", key)
	require.Equal(t, "conflict", refusal)
}

// Who did it is proven: the server lets nobody speak for another.
func natsDoorRights(t *testing.T, p platform) {
	_, err := nats.Connect(p.nats, nats.Token("wrong"))
	require.Error(t, err)
	_, err = nats.Connect(p.nats)
	require.Error(t, err)

	for _, tc := range []struct{ owner, key, subject string }{
		{"dev-operator", operatorKey, "nexus.submit.dev-admin.integrity_audit"},
		{"dev-operator", operatorKey, "nexus.cmd.jobs.submit"},
		{"dev-operator", operatorKey, "nexus.events.job.succeeded.analyze"},
		{"dev-operator", operatorKey, "$JS.API.STREAM.PURGE.NEXUS_SUBMIT"},
		{"dev-viewer", viewerKey, "nexus.submit.dev-viewer.integrity_audit"},
	} {
		denied := make(chan error, 1)
		nc, err := nats.Connect(p.nats, nats.Token(tc.key), nats.CustomInboxPrefix(contract.InboxPrefix(tc.owner)),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
		require.NoError(t, err)
		require.NoError(t, nc.Publish(tc.subject, []byte(`{}`)))
		require.ErrorIs(t, testkit.Receive(t, denied), nats.ErrPermissionViolation, tc.subject)
		nc.Close()
	}
	denied := make(chan error, 1)
	nc, err := nats.Connect(p.nats, nats.Token(operatorKey), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	require.NoError(t, err)
	defer nc.Close()
	for _, subject := range []string{">", "_INBOX.>", "_INBOX_dev-admin.>", "nexus.submit.>", "nexus.run.>"} {
		_, err = nc.Subscribe(subject, func(*nats.Msg) {})
		require.NoError(t, err)
		require.ErrorIs(t, testkit.Receive(t, denied), nats.ErrPermissionViolation, subject)
	}
}

// A message that looks like a word of the broker blocks nobody behind it.
func hostileMessages(t *testing.T, p platform) {
	_, js := natsClient(t, p, "dev-operator", operatorKey)
	for _, status := range []string{"100", "404", "408", "409", "503"} {
		msg := nats.NewMsg("nexus.submit.dev-operator.integrity_audit")
		msg.Header.Set("Status", status)
		msg.Header.Set("Description", "Consumer Deleted")
		_, err := js.PublishMsg(t.Context(), msg)
		require.NoError(t, err)
	}
	for header, value := range map[string]string{
		"Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Schedule": "@every 1s", "Nats-Incr": "1", "Nats-Batch-Id": "x",
	} {
		msg := nats.NewMsg("nexus.submit.dev-operator.integrity_audit")
		msg.Header.Set(header, value)
		_, err := js.PublishMsg(t.Context(), msg)
		require.Error(t, err, header)
	}
	id, refusal := natsDoor(t, p)(t, "integrity_audit", map[string]any{})
	require.Empty(t, refusal)
	client{t, p.http, operatorKey}.finished(id)
}

// Who did it is proven, not claimed: nothing in a request names the actor, and
// at the NATS door the server refuses every subject but one's own.
func TestGuaranteeActorIsProvenAtBothDoors(t *testing.T) {
	t.Parallel()
	p := oneProcess(t)
	natsDoorRights(t, p)
	db := testkit.OpenPostgres(t, p.database, "")
	id, _ := client{t, p.http, operatorKey}.submit(map[string]any{"job_type": "integrity_audit"})
	require.Equal(t, "dev-operator", client{t, p.http, viewerKey}.get("/api/v1/jobs/" + id)["created_by"])
	id, refusal := natsDoor(t, p)(t, "integrity_audit", map[string]any{})
	require.Empty(t, refusal)
	require.Equal(t, "dev-operator", client{t, p.http, viewerKey}.get("/api/v1/jobs/" + id)["created_by"])

	// Reply subjects are not checked by the server: its receipt must not become
	// a job of somebody else.
	nc, _ := natsClient(t, p, "dev-operator", operatorKey)
	require.NoError(t, nc.PublishRequest("nexus.submit.dev-operator.integrity_audit", "nexus.submit.dev-admin.integrity_audit", []byte(`{}`)))
	require.NoError(t, nc.Flush())
	testkit.Eventually(t, func() bool {
		var mine int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs WHERE created_by = 'dev-operator'`).Scan(&mine)
		return err == nil && mine == 3
	}, "the job itself was not recorded")
	var others int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs WHERE created_by <> 'dev-operator'`).Scan(&others))
	require.Zero(t, others)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM audit.audit_logs WHERE actor = 'dev-admin'`).Scan(&others))
	require.Zero(t, others, "nothing may be charged to the victim")
}

func auditTrail(t *testing.T, p platform) {
	db := testkit.OpenPostgres(t, p.database, "")
	for action, actor := range map[string]string{
		"job_queued": "dev-operator", "job_succeeded": "", "auth_success": "dev-viewer", "auth_failure": "anonymous", "auth_denied": "dev-viewer",
		"submit.rejected": "dev-operator", "webhook_created": "dev-operator", "webhook_deleted": "dev-operator",
	} {
		require.Eventually(t, func() bool {
			var n int
			err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM audit.audit_logs WHERE action = $1 AND (actor = $2 OR $2 = '')`, action, actor).Scan(&n)
			return err == nil && n > 0
		}, patience, 50*time.Millisecond, "no %s of %q in the audit trail", action, actor)
	}
	var leaks int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM audit.audit_logs a WHERE a::text LIKE '%nexus-dev-%-key%' OR a::text LIKE '%nxk_%'`).Scan(&leaks))
	require.Zero(t, leaks, "the audit trail holds a key")
}
