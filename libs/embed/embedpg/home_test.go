package embedpg_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embedpg"
)

// TestUnreachableDataFolder starts on a folder that only its owner may enter.
// An ordinary user's server is fine there; root's has to live elsewhere.
func TestUnreachableDataFolder(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	base := filepath.Dir(dir)
	private := filepath.Join(base, "private")
	require.NoError(t, os.Mkdir(private, 0o700))
	opts := embedpg.Options{DataDir: filepath.Join(private, "postgres"), FallbackDir: base}

	server := start(t, opts)
	home := filepath.Dir(ask(t, server, "SHOW data_directory"))
	exec1(t, server, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')")
	stop(t, server)
	if os.Geteuid() == 0 {
		require.Equal(t, base, filepath.Dir(home))
		pointer, err := os.ReadFile(filepath.Join(opts.DataDir, "cluster-location"))
		require.NoError(t, err)
		require.Contains(t, string(pointer), home+"\n")
	} else {
		require.Equal(t, opts.DataDir, home)
	}

	server = start(t, opts)
	require.Equal(t, "here", ask(t, server, "SELECT word FROM kept"))
	stop(t, server)

	require.NoError(t, os.RemoveAll(opts.DataDir))
	server = start(t, opts)
	require.Equal(t, "none", ask(t, server, "SELECT coalesce(to_regclass('kept')::text, 'none')"),
		"deleting the data folder starts afresh")
}

// TestDataOfAnotherUser has root start a server on data that an ordinary user
// made, and again after the owner can no longer be reached.
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
	server, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
	if os.Geteuid() != 0 {
		require.NoError(t, err)
		stop(t, server)
		return
	}
	require.ErrorContains(t, err, "chmod o+x")
}
