package e2e_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// objectsIn counts the objects of a bucket.
func objectsIn(t testing.TB, s *testkit.S3) (n int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(s.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.Contains(path, ".sgwtmp") {
			n++
		}
		return err
	}))
	return n
}

// Two processes ingest into one bucket, and while it is away their jobs wait.
func TestIngestIntoABucket(t *testing.T) {
	t.Parallel()
	s := testkit.NewS3(t)
	database, dir, root := testkit.EmptyDatabase(t), dataDir(t), t.TempDir()
	for _, name := range []string{"a.md", "b.md", "c.md", "d.md"} {
		put(t, root, name, []byte("# "+name+"\n\nOf its own.\n"))
	}
	shared := []string{
		"NEXUS_S3_ENDPOINT=" + s.URL, "NEXUS_S3_BUCKET=" + s.Bucket, "NEXUS_S3_ACCESS_KEY=" + s.Access, "NEXUS_S3_SECRET_KEY=" + s.Secret,
		"NEXUS_DATA_DIR=" + dir, "NEXUS_DATABASE_URL=" + database, "NEXUS_CORPUS_ROOT=" + root,
	}
	p := launch(t, t.TempDir(), append(freePorts(), shared...), "up")
	beside := launch(t, t.TempDir(), append([]string{"NEXUS_NATS_URL=" + p.nats, "NEXUS_NATS_KEYS_DIR=" + dir + "/keys"}, shared...), "worker", "--queues", "corpus")
	c := client{t, p.http, operatorKey}
	for _, id := range c.submitIngests(6) {
		require.Equal(t, "succeeded", c.finished(id)["status"])
	}
	require.Equal(t, 4, objectsIn(t, s), "each file is kept once")
	require.NoDirExists(t, filepath.Join(dir, "objects"))

	s.Stop()
	put(t, root, "e.md", []byte("# While the bucket is away\n"))
	id, _ := c.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "async"})
	testkit.Eventually(t, func() bool { return c.get("/api/v1/jobs/" + id)["status"] == "retry_wait" }, "the job does not wait")
	s.Start(t)
	job := c.finished(id)
	require.Equal(t, "succeeded", job["status"])
	require.EqualValues(t, 1, job["attempt_count"], "waiting costs no attempt")
	require.Equal(t, 5, objectsIn(t, s))
	beside.stop()
	p.stop()
	require.NotContains(t, p.log()+beside.log(), s.Secret)

	wrong := append(append(freePorts(), shared...), "NEXUS_S3_BUCKET=absent")
	out, err := command(t, t.TempDir(), wrong, "up").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "NEXUS_S3_BUCKET: the bucket cannot be used: there is no bucket absent")
}
