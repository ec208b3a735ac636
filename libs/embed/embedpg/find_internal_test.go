package embedpg

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// install makes a folder with executable files of the names.
func install(t *testing.T, dir string, mode os.FileMode, names ...string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, mode))
	}
	return dir
}

func TestInstalledListsNewestFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	at := func(dir string) string {
		return install(t, filepath.Join(root, dir), 0o755, programs()...)
	}
	want := []installation{
		{at("usr/pgsql-18/bin"), 18},
		{at("opt/homebrew/opt/postgresql@17/bin"), 17},
		{at("usr/libexec/postgresql16"), 16},
		{at("usr/lib/postgresql/15/bin"), 15},
		{at("Applications/Postgres.app/Contents/Versions/14/bin"), 14},
		{at("usr/lib/postgresql/9.6/bin"), 9},
	}
	at("usr/lib/postgresql/latest/bin")
	install(t, filepath.Join(root, "usr/lib/postgresql/20/bin"), 0o755, "postgres")
	install(t, filepath.Join(root, "usr/lib/postgresql/21/bin"), 0o644, programs()...)
	require.Equal(t, want, installed(root))

	dir, err := findUnder(root, "")
	require.NoError(t, err)
	require.Equal(t, want[0].dir, dir)
}

func TestFindWithoutPackages(t *testing.T) {
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	_, err := findUnder(empty, "")
	require.ErrorIs(t, err, ErrNotInstalled)
	require.ErrorContains(t, err, "make run")
	require.ErrorContains(t, err, "apt-get install postgresql")

	here := install(t, filepath.Join(t.TempDir(), "here"), 0o755, programs()...)
	t.Setenv("PATH", here)
	dir, err := findUnder(empty, "")
	require.NoError(t, err)
	require.Equal(t, here, dir)

	links := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(here, "postgres"), filepath.Join(links, "postgres")))
	t.Setenv("PATH", links)
	dir, err = findUnder(empty, "")
	require.NoError(t, err)
	require.Equal(t, here, dir, "the link leads to where the programs are together")

	lonely := install(t, t.TempDir(), 0o755, "postgres")
	t.Setenv("PATH", lonely)
	_, err = findUnder(empty, "")
	require.ErrorIs(t, err, ErrNotInstalled)
}

func TestFindChecksAGivenFolder(t *testing.T) {
	t.Parallel()
	given := install(t, t.TempDir(), 0o755, programs()...)
	dir, err := Find(given)
	require.NoError(t, err)
	require.Equal(t, given, dir)

	_, err = Find(t.TempDir())
	require.ErrorIs(t, err, ErrNotInstalled)
	require.ErrorContains(t, err, "NEXUS_PG_BIN")

	folders := t.TempDir()
	for _, name := range programs() {
		require.NoError(t, os.Mkdir(filepath.Join(folders, name), 0o755))
	}
	_, err = Find(folders)
	require.ErrorIs(t, err, ErrNotInstalled)
}
