package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// entries are lines of a log that match all fields.
func (p platform) entries(t testing.TB, match map[string]string) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(p.log()) {
		if !strings.HasSuffix(line, "\n") {
			continue
		}
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), "%s", line)
		fits := true
		for name, want := range match {
			got, _ := entry[name].(string)
			fits = fits && strings.HasPrefix(got, want)
		}
		if fits {
			out = append(out, entry)
		}
	}
	return out
}

// says waits for an entry.
func (p platform) says(t testing.TB, match map[string]string) map[string]any {
	t.Helper()
	var found []map[string]any
	require.Eventually(t, func() bool { found = p.entries(t, match); return len(found) > 0 }, patience, 20*time.Millisecond, "nothing logged %v", match)
	return found[0]
}

// Secrets by where they go in. None may come out in a log.
const (
	secretPayload = "payload-7f3a91c4"
	secretContent = "zanzibarquux"
	secretKey     = "wrong-key-5c60aa19"
	secretToken   = "wrong.token.e94d13bf"
	secretMessage = "message-02c7f5d8"
)

// One body for both ways to run: what is logged of a job, by all services, is tied
// together, and says nothing of what the job is about.
func TestLogOfAJob(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) platform{"OneProcess": oneProcess, "SevenProcesses": sevenProcesses} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			require.NoError(t, os.Chmod(root, 0o755))
			put(t, root, secretPayload+".txt", []byte("It was the best of times. "+secretContent+"."))
			p := start(t, "NEXUS_LOG_LEVEL=debug", "NEXUS_CORPUS_ROOT="+root, "NEXUS_WORKER_LEASE_SECONDS=2", "NEXUS_WORKER_POLL_SECONDS=0.2")
			goodJob(t, p)
			hardJob(t, p)
			deadLetter(t, p)
			strangers(t, p)
			for _, one := range slices.Backward(p.processes) {
				one.stop()
			}
			for _, said := range []string{"starting", "ready", "stopping", "no more jobs are taken", "everything has drained"} {
				p.says(t, map[string]string{"message": said})
			}
			for _, secret := range []string{
				secretPayload, secretContent, secretKey, secretToken, secretMessage, viewerKey, operatorKey, researcherKey, adminKey, "eyJ",
			} {
				if at := strings.Index(p.log(), secret); at >= 0 {
					require.Fail(t, "a secret was logged", "%s in %s", secret, p.log()[max(0, at-300):at+100])
				}
			}
		})
	}
}

// tied holds the lines of a job against what ties them.
func tied(t testing.TB, p platform, job, request, trace string, want []map[string]string) {
	t.Helper()
	for _, match := range want {
		match["job_id"] = job
		entry := p.says(t, match)
		require.Equal(t, request, entry["request_id"], "%v", entry)
		require.Equal(t, trace, entry["trace_id"], "%v", entry)
		if match["worker"] == "" && strings.HasPrefix(match["message"], "job run") {
			require.NotEmpty(t, entry["worker"], "%v", entry)
		}
	}
	for _, entry := range p.entries(t, map[string]string{"job_id": job}) {
		require.Equal(t, request, entry["request_id"], "%v", entry)
		require.Equal(t, trace, entry["trace_id"], "%v", entry)
	}
}

// traced submits a job in a trace of its own.
func traced(t testing.TB, p platform, job map[string]any) (id, request, trace string) {
	t.Helper()
	request, trace = "req-"+uuid.NewString(), strings.ReplaceAll(uuid.NewString(), "-", "")
	body, err := json.Marshal(job)
	require.NoError(t, err)
	status, answer := client{t, p.http, operatorKey}.text(http.MethodPost, "/api/v1/jobs/submit", string(body), map[string]string{
		"X-Request-ID": request, "traceparent": "00-" + trace + "-b7ad6b7169203331-01",
	})
	require.Equal(t, http.StatusOK, status, answer)
	return fields(t, answer)["job_id"].(string), request, trace
}

func goodJob(t *testing.T, p platform) {
	id, request, trace := traced(t, p, map[string]any{"job_type": "ingest_batch", "payload": map[string]any{"source_paths": []any{secretPayload + ".txt"}}})
	job := client{t, p.http, operatorKey}.finished(id)
	require.Equal(t, "succeeded", job["status"], "%v", job)
	c := client{t, p.http, operatorKey}
	ingested := list(t, job["artifacts"])[0].(map[string]any)["artifact_payload"].(map[string]any)["ingest_job_id"].(string)
	require.Contains(t, string(encoded(t, c.get("/api/v1/ingest/jobs/"+ingested))), secretPayload, "the record holds what must not be logged")
	analysis, status := c.submit(map[string]any{"job_type": "analyze", "execution_mode": "sync", "payload": map[string]any{"document_id": someDocument(c)}})
	require.Equal(t, "succeeded", status)
	run := list(t, c.get("/api/v1/jobs/" + analysis)["artifacts"])[0].(map[string]any)["artifact_payload"].(map[string]any)["analysis_run_id"].(string)
	require.Contains(t, string(encoded(t, c.get("/api/v1/analysis/runs/"+run))), secretContent, "the result holds what must not be logged")
	p.says(t, map[string]string{"service": "gateway", "message": "auth success", "request_id": request, "trace_id": trace, "actor": "dev-operator"})
	tied(t, p, id, request, trace, []map[string]string{
		{"service": "gateway", "message": "job taken in"},
		{"service": "jobs", "message": "job submitted", "created_by": "dev-operator", "level": "debug"},
		{"service": "jobs", "message": "job started", "worker": p.worker(t, id)},
		{"service": "corpus", "message": "job run begins"},
		{"service": "corpus", "message": "job run succeeded"},
		{"service": "jobs", "message": "job succeeded", "worker": p.worker(t, id)},
	})
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// worker is who ran the last attempt of a job.
func (p platform) worker(t testing.TB, id string) string {
	t.Helper()
	attempts := client{t, p.http, operatorKey}.get("/api/v1/jobs/" + id)["attempts"].([]any)
	return attempts[len(attempts)-1].(map[string]any)["worker"].(string)
}

// hardJob fails, is tried again, loses its lease, and fails for good.
func hardJob(t *testing.T, p platform) {
	status, problem, _ := client{t, p.http, adminKey}.call(http.MethodPatch, "/api/v1/job-types/integrity_audit", map[string]any{"backoff_seconds": []any{5, 1}})
	require.Equal(t, http.StatusOK, status, "%v", problem)
	db := testkit.OpenPostgres(t, p.database, "")
	do := func(statement string, args ...any) {
		t.Helper()
		_, err := db.Pool.Exec(t.Context(), statement, args...)
		require.NoError(t, err)
	}
	do(`ALTER TABLE corpus.documents RENAME TO away`)
	id, request, trace := traced(t, p, map[string]any{"job_type": "integrity_audit", "max_attempts": 3, "payload": map[string]any{"note": secretPayload}})
	retry := p.says(t, map[string]string{"service": "jobs", "job_id": id, "message": "job failed; it is tried again"})
	at, err := time.Parse(time.RFC3339, retry["next_run_at"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)

	// The second attempt hangs, and its lease is taken away.
	do(`ALTER TABLE corpus.away RENAME TO documents`)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	release := func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }
	t.Cleanup(release)
	_, err = tx.Exec(t.Context(), `LOCK TABLE corpus.documents IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	c := client{t, p.http, operatorKey}
	require.Eventually(t, func() bool {
		return len(p.entries(t, map[string]string{"job_id": id, "message": "job run begins"})) == 2
	}, patience, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		do(`UPDATE jobs.jobs SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE id = $1 AND status = 'running' AND attempt_count = 2`, id)
		do(`UPDATE jobs.claims SET look_at = clock_timestamp() - interval '1 second' WHERE $1 = ANY(job_ids)`, id)
		return len(p.entries(t, map[string]string{"job_id": id, "message": "job recovered"})) > 0
	}, patience, 50*time.Millisecond, "the lease was not recovered")

	// So does the last, which then fails.
	_, err = tx.Exec(t.Context(), `ALTER TABLE corpus.documents RENAME TO away`)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	job := c.finished(id)
	do(`ALTER TABLE corpus.away RENAME TO documents`)
	require.Equal(t, "failed", job["status"], "%v", job)
	tied(t, p, id, request, trace, []map[string]string{
		{"service": "gateway", "message": "job taken in"},
		{"service": "jobs", "message": "job submitted"},
		{"service": "jobs", "message": "job started", "worker": p.worker(t, id)},
		{"service": "corpus", "message": "job run failed", "level": "warn"},
		{"service": "jobs", "message": "job failed; it is tried again", "level": "info"},
		{"service": "jobs", "message": "job recovered", "level": "warn", "worker": p.worker(t, id)},
		{"service": "jobs", "message": "job failed for good", "level": "warn"},
	})
}

// deadLetter publishes a message that no job can come of.
func deadLetter(t *testing.T, p platform) {
	nc, js := natsClient(t, p, "dev-operator", operatorKey)
	defer nc.Close()
	request, trace := "req-"+uuid.NewString(), strings.ReplaceAll(uuid.NewString(), "-", "")
	msg := nats.NewMsg("nexus.submit.dev-operator.analyze")
	msg.Data = []byte(`{"payload":{"` + secretMessage + `":1},"priority":"` + secretMessage + `"}`)
	msg.Header.Set(contract.HeaderRequestID, request)
	msg.Header.Set("traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	_, err := js.PublishMsg(t.Context(), msg)
	require.NoError(t, err)
	p.says(t, map[string]string{"service": "gateway", "message": "a message was refused and became a dead letter", "request_id": request, "trace_id": trace, "actor": "dev-operator", "level": "warn"})
	require.NoError(t, js.Conn().Publish("nexus.submit.dev-operator.analyze", []byte(`{"`+secretMessage+``)))
	require.Eventually(t, func() bool {
		return len(p.entries(t, map[string]string{"message": "a message was refused and became a dead letter"})) == 2
	}, patience, 20*time.Millisecond)
}

// strangers try keys and tokens.
func strangers(t *testing.T, p platform) {
	for _, key := range []string{"", secretKey} {
		status, _, _ := client{t, p.http, key}.call(http.MethodGet, "/api/v1/jobs", nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	request := "req-" + uuid.NewString()
	status, _ := client{t, p.http, ""}.text(http.MethodGet, "/api/v1/auth/whoami", "", map[string]string{"Authorization": "Bearer " + secretToken, "X-Request-ID": request})
	require.Equal(t, http.StatusUnauthorized, status)
	entry := p.says(t, map[string]string{"service": "gateway", "message": "auth failure", "request_id": request})
	require.Equal(t, "info", entry["level"])
	require.Equal(t, "GET /api/v1/auth/whoami", entry["route"])
	request = "req-" + uuid.NewString()
	status, _ = client{t, p.http, viewerKey}.text(http.MethodGet, "/api/v1/workers", "", map[string]string{"X-Request-ID": request})
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "dev-viewer", p.says(t, map[string]string{"message": "auth denied", "request_id": request})["actor"])
	_, err := nats.Connect(p.nats, nats.Token(secretKey))
	require.Error(t, err)
	p.says(t, map[string]string{"service": "auth", "message": "a NATS client was refused", "level": "info"})
}

// The level changes in every process at once, of all services or of one, and comes
// back with what the settings say when SIGHUP comes.
func TestLogLevelChangesWhileRunning(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) platform{"OneProcess": oneProcess, "SevenProcesses": sevenProcesses} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			admin := client{t, p.http, adminKey}
			levels := func() map[string]string {
				out := map[string]string{}
				for _, s := range list(t, admin.get("/api/v1/log-level")["services"]) {
					s := s.(map[string]any)
					require.NotEmpty(t, s["instance"])
					out[s["service"].(string)] = s["level"].(string)
				}
				return out
			}
			all := func(level string) map[string]string {
				out := map[string]string{}
				for _, s := range []string{"auth", "audit", "jobs", "corpus", "plugins", "webhooks", "gateway"} {
					out[s] = level
				}
				return out
			}
			require.Equal(t, all("info"), levels())
			admin.call(http.MethodGet, "/api/v1/jobs", nil)
			require.Empty(t, p.entries(t, map[string]string{"level": "debug", "service": "gateway"}))

			status, answer, _ := admin.call(http.MethodPut, "/api/v1/log-level", map[string]any{"level": "debug"})
			require.Equal(t, http.StatusOK, status, "%v", answer)
			require.Equal(t, all("debug"), levels())
			id, request, _ := traced(t, p, map[string]any{"job_type": "integrity_audit"})
			client{t, p.http, operatorKey}.finished(id)
			p.says(t, map[string]string{"level": "debug", "service": "gateway", "request_id": request})
			p.says(t, map[string]string{"level": "debug", "service": "jobs", "job_id": id, "message": "job succeeded"})
			p.says(t, map[string]string{"level": "debug", "service": "corpus", "job_id": id, "message": "job run succeeded"})

			status, answer, _ = admin.call(http.MethodPut, "/api/v1/log-level", map[string]any{"level": "error", "service": "jobs"})
			require.Equal(t, http.StatusOK, status, "%v", answer)
			want := all("debug")
			want["jobs"] = "error"
			require.Equal(t, want, levels())
			db := testkit.OpenPostgres(t, p.database, "")
			require.Eventually(t, func() bool {
				var n int
				err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM audit.audit_logs WHERE action = 'log.level' AND actor = 'dev-admin'`).Scan(&n)
				return err == nil && n == 2
			}, patience, 50*time.Millisecond, "the changes are not in the audit trail")

			for _, one := range p.processes {
				require.NoError(t, os.WriteFile(filepath.Join(one.cmd.Dir, ".env"), []byte("NEXUS_LOG_LEVEL=warn\n"), 0o600))
				require.NoError(t, one.cmd.Process.Signal(syscall.SIGHUP))
			}
			require.Eventually(t, func() bool {
				now := levels()
				return !slices.ContainsFunc([]string{"auth", "jobs", "gateway", "corpus"}, func(s string) bool { return now[s] != "warn" })
			}, patience, 50*time.Millisecond)

			// Settings that cannot be read change nothing, and end nothing.
			one := p.processes[len(p.processes)-1]
			require.NoError(t, os.WriteFile(filepath.Join(one.cmd.Dir, ".env"), []byte("NEXUS_LOG_LEVEL=loud\n"), 0o600))
			require.NoError(t, one.cmd.Process.Signal(syscall.SIGHUP))
			p.says(t, map[string]string{"level": "warn", "message": "the settings cannot be read anew"})
			require.Equal(t, "warn", levels()["gateway"])
		})
	}
}
