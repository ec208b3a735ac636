package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
)

// limitFiles makes every write of a process fail that would make a file larger than
// size, as a full disk does. It needs no rights.
func (p *process) limitFiles(size uint64) {
	p.t.Helper()
	var now unix.Rlimit
	require.NoError(p.t, unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &now))
	now.Cur = min(size, now.Max)
	require.NoError(p.t, unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &now, nil))
}

// NATS cannot write for a while: submits are refused and the gateway is not ready,
// and says why. Once it can write again jobs are taken without a restart, and every
// job that was accepted is there.
func TestDiskThatIsFullForAWhile(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	p := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_BENCH_JOBS_ENABLED=true"), "up")
	c := client{t, p.http, operatorKey}
	var accepted []string
	submit := func() int {
		status, answer, header := c.call(http.MethodPost, "/api/v1/jobs/submit", map[string]any{"job_type": "noop"})
		switch status {
		case http.StatusOK, http.StatusAccepted:
			accepted = append(accepted, answer["job_id"].(string))
		default:
			require.Equal(t, http.StatusServiceUnavailable, status, "%v", answer)
			require.NotEmpty(t, header.Get("Retry-After"))
		}
		return status
	}
	ready := func() (int, any) {
		status, answer, _ := c.call(http.MethodGet, "/readyz", nil)
		return status, answer["detail"]
	}
	for range 20 {
		require.Equal(t, http.StatusOK, submit())
	}
	p.limitFiles(0)
	require.Eventually(t, func() bool { return submit() == http.StatusServiceUnavailable }, patience, 10*time.Millisecond, "it takes jobs without a disk")
	require.Eventually(t, func() bool { status, _ := ready(); return status == http.StatusServiceUnavailable }, patience, 100*time.Millisecond, "it is ready without a disk")
	_, detail := ready()
	require.Contains(t, detail, "Not ready: ")
	require.Regexp(t, `stream NEXUS_COMMANDS|jobs \(The message broker does not take its messages\)`, detail)
	status, _, _ := c.call(http.MethodGet, "/healthz", nil)
	require.Equal(t, http.StatusOK, status)

	p.limitFiles(unix.RLIM_INFINITY)
	require.Eventually(t, func() bool { return submit() == http.StatusOK }, time.Minute, 100*time.Millisecond, "it takes no jobs though it can write again")
	require.Eventually(t, func() bool { status, _ := ready(); return status == http.StatusOK }, patience, 100*time.Millisecond, "it is not ready though it takes jobs")
	for _, id := range accepted {
		require.Equal(t, "succeeded", c.finished(id)["status"])
	}
	p.stop()
}

// A first start needs no more disk than it finds, and the next start does not mind
// that others have taken of it since.
func TestStreamsFitTheDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	var disk syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &disk))
	free := int64(disk.Bavail) * disk.Bsize
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+testkit.EmptyDatabase(t))
	p := launch(t, t.TempDir(), env, "up")
	total := storeOf(t, p, dir)
	require.LessOrEqual(t, total, max(contract.MinStreamBytes, free/2+64<<20))
	require.GreaterOrEqual(t, total, int64(contract.MinStreamBytes-10))
	p.stop()

	filler, err := os.Create(filepath.Join(dir, "of somebody else"))
	require.NoError(t, err)
	require.NoError(t, filler.Truncate(64<<20))
	_, err = filler.Write(make([]byte, 16<<20))
	require.NoError(t, err)
	require.NoError(t, filler.Close())
	p = launch(t, t.TempDir(), env, "up")
	require.Equal(t, total, storeOf(t, p, dir), "what exists keeps its size")
	p.stop()

	const asked = contract.MinStreamBytes + 100<<20
	p = launch(t, t.TempDir(), append(env, "NEXUS_STREAMS_MAX_BYTES=402653184"), "up")
	require.GreaterOrEqual(t, storeOf(t, p, dir), max(total, asked-10), "it may become larger")
	p.stop()
}

// smallDisk makes a folder in memory, where there is one: that is a disk of a few
// GiB at most.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "nexus-e2e-")
	if err != nil {
		return dataDir(t)
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// storeOf is how much all streams together may hold.
func storeOf(t *testing.T, p *process, dir string) (total int64) {
	t.Helper()
	keys, err := embednats.LoadKeys(filepath.Join(dir, "keys"), false, "admin")
	require.NoError(t, err)
	key, err := keys.User("admin")
	require.NoError(t, err)
	nc, err := nats.Connect(p.nats, key.Option())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	for _, s := range contract.Streams() {
		st, err := js.Stream(t.Context(), s.Name)
		require.NoError(t, err)
		total += st.CachedInfo().Config.MaxBytes
	}
	return total
}
