package e2e_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// apart starts the platform without workers, and returns the settings that
// `nexus worker` needs.
func apart(t testing.TB) (c client, env []string) {
	t.Helper()
	database, dir, corpus := testkit.EmptyDatabase(t), dataDir(t), corpusRoot(t)
	p := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpus,
		"NEXUS_WORKERS_APART=true"), "up")
	return client{t, p.http, operatorKey}, []string{
		"NEXUS_NATS_URL=" + p.nats, "NEXUS_NATS_KEYS_DIR=" + dir + "/keys", "NEXUS_DATA_DIR=" + dir,
		"NEXUS_DATABASE_URL=" + database, "NEXUS_CORPUS_ROOT=" + corpus,
	}
}

func (c client) submitIngests(n int) (ids []string) {
	c.t.Helper()
	for range n {
		id, status := c.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "async"})
		require.Equal(c.t, "queued", status)
		ids = append(ids, id)
	}
	return ids
}

func (c client) count(ids []string, status string) (n int) {
	c.t.Helper()
	for _, id := range ids {
		if c.get("/api/v1/jobs/" + id)["status"] == status {
			n++
		}
	}
	return n
}

// workUntilDone runs `nexus worker` to its end and returns what it printed.
func workUntilDone(t testing.TB, env []string, args ...string) string {
	t.Helper()
	cmd := command(t, t.TempDir(), env, append([]string{"worker"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s", &stderr)
	return stdout.String()
}

func TestWorkersApart(t *testing.T) {
	t.Parallel()
	c, env := apart(t)
	require.Equal(t, "processed 0 job(s)\n", workUntilDone(t, env, "--once"), "nothing waits")

	jobs := c.submitIngests(6)
	require.Equal(t, len(jobs), c.count(jobs, "queued"), "nobody is there to run them")
	require.Equal(t, "processed 1 job(s)\n", workUntilDone(t, env, "--once"))
	require.Equal(t, 1, c.count(jobs, "succeeded"))
	require.Equal(t, "processed 3 job(s)\n", workUntilDone(t, env, "--max-jobs", "3"))
	require.Equal(t, 4, c.count(jobs, "succeeded"))
	require.Equal(t, "processed 0 job(s)\n", workUntilDone(t, env, "--once", "--queues", "plugins"), "they are of another queue")

	first, second := launch(t, t.TempDir(), env, "worker"), launch(t, t.TempDir(), env, "worker", "--queues", "corpus", "--concurrency", "4")
	jobs = append(jobs, c.submitIngests(10)...)
	for _, id := range jobs {
		require.Equal(t, "succeeded", c.finished(id)["status"])
	}
	first.stop()
	second.stop()
}

func TestWorkerArguments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--queues", "moon"}, `no queue "moon"`},
		{[]string{"--queues", ""}, `no queue ""`},
		{[]string{"--max-jobs", "-1"}, "want a number of jobs"},
		{[]string{"--concurrency", "many"}, "invalid value"},
		{[]string{"--once", "--max-jobs", "2"}, "choose --once or --max-jobs"},
		{[]string{"now"}, `"now" is not an option`},
		{nil, "NEXUS_NATS_URL is not set"},
	} {
		out, err := command(t, t.TempDir(), nil, append([]string{"worker"}, tc.args...)...).CombinedOutput()
		require.Error(t, err, "%v", tc.args)
		require.Contains(t, string(out), tc.want)
	}
}
