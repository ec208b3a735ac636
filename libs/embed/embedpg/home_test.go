package embedpg_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5" //nolint:depguard // looks at the server itself; there is no store yet
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embedpg"
)

// TestUnreachableDataFolder starts on a folder that only its owner may enter, as
// root's home is. Everything is in there, whoever the server runs as.
func TestUnreachableDataFolder(t *testing.T) {
	t.Parallel()
	private := filepath.Join(filepath.Dir(dataDir(t)), "private")
	require.NoError(t, os.Mkdir(private, 0o700))
	opts := embedpg.Options{DataDir: filepath.Join(private, "postgres")}

	server := start(t, opts)
	exec1(t, server, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')")
	stop(t, server)
	require.FileExists(t, filepath.Join(opts.DataDir, "cluster", "PG_VERSION"))

	server = start(t, opts)
	require.Equal(t, "here", ask(t, server, "SELECT word FROM kept"))
	stop(t, server)

	require.NoError(t, os.RemoveAll(opts.DataDir))
	server = start(t, opts)
	require.Equal(t, "none", ask(t, server, "SELECT coalesce(to_regclass('kept')::text, 'none')"),
		"deleting the data folder starts afresh")
}

// A server that was given its folders open recovers from the loss of a backend,
// and of itself, as any other.
func TestUnreachableDataFolderAfterACrash(t *testing.T) {
	t.Parallel()
	private := filepath.Join(filepath.Dir(dataDir(t)), "pri vate")
	require.NoError(t, os.Mkdir(private, 0o700))
	dir := filepath.Join(private, "postgres")
	require.NoError(t, os.Mkdir(dir, 0o711))
	require.NoError(t, exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(pattern(), "cluster"), dir).Run())
	server := start(t, embedpg.Options{DataDir: dir, Durable: true})
	exec1(t, server, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')")
	backend := int(connect(t, server).PgConn().PID())
	require.NoError(t, syscall.Kill(backend, syscall.SIGKILL))
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), server.URL())
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	}, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, "here", ask(t, server, "SELECT word FROM kept"))
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
	<-server.Done()

	require.NoError(t, server.Stop(t.Context()))
	again := start(t, embedpg.Options{DataDir: dir, Durable: true})
	require.Equal(t, "here", ask(t, again, "SELECT word FROM kept"))
}

// TestOddFolders starts on folders whose names mean something to a shell, a
// list, a connection string or a file of lines.
func TestOddFolders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"my data", "a,b", `quo"te`, "it's", "100%", "%2F%00", "grün 数", "-rf", "back\\slash", "$HOME", "a#b?c&d=e", "two\nlines", "@at", ":5432", " ",
		strings.Repeat("long/", 180) + "end", strings.Repeat("x", 200),
	} {
		t.Run(name[:min(len(name), 20)], func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(filepath.Dir(dataDir(t)), name)
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(pattern(), "cluster"), dir).Run())
			server := start(t, embedpg.Options{DataDir: dir})
			require.Equal(t, "1", ask(t, server, "SELECT '1'"))
			require.FileExists(t, filepath.Join(dir, "cluster", "postmaster.pid"))
		})
	}
}

// TestDataOfAnotherUser has root start a server on data that an ordinary user
// made, and again after the owner can no longer reach it.
func TestDataOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	cluster := filepath.Join(dir, "cluster")
	owner := int(ownerOf(t, cluster).Uid)
	if os.Geteuid() == 0 {
		owner = 65534
		require.NoError(t, filepath.WalkDir(cluster, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, owner, owner)
		}))
	}
	stop(t, start(t, embedpg.Options{DataDir: dir}))
	for _, path := range []string{"cluster/PG_VERSION", "socket", "postgres.log", "lock"} {
		require.EqualValues(t, owner, ownerOf(t, filepath.Join(dir, path)).Uid, path)
	}

	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o700))
	stop(t, start(t, embedpg.Options{DataDir: dir}))
}
