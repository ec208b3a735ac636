package embedpg

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/internal/dirlock"
)

// closedDir makes a folder others may not pass inside one they may.
func closedDir(t *testing.T) (open, closed string) {
	t.Helper()
	open, err := os.MkdirTemp("", "nxtest-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(open)) })
	require.NoError(t, os.Chmod(open, 0o755))
	closed = filepath.Join(open, "closed", "data")
	require.NoError(t, os.MkdirAll(closed, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(closed), 0o700))
	return open, closed
}

// someone is a user that owns nothing here.
func someone() account { return account{name: "someone", uid: 4242, gid: 4242, drop: true} }

func TestUnreachable(t *testing.T) {
	t.Parallel()
	open, closed := closedDir(t)
	own := account{uid: uint32(os.Geteuid()), gid: 4242, drop: true}
	group := account{uid: 4242, gid: uint32(os.Getegid()), drop: true}
	tests := map[string]struct {
		account account
		dir     string
		want    string
	}{
		"others, open":        {someone(), open, ""},
		"others, closed":      {someone(), closed, filepath.Dir(closed)},
		"owner":               {own, closed, ""},
		"group, closed":       {group, closed, filepath.Dir(closed)},
		"the program's user":  {account{uid: 4242}, closed, ""},
		"others, root folder": {someone(), "/", ""},
	}
	for name, test := range tests {
		got, err := test.account.unreachable(test.dir)
		require.NoError(t, err, name)
		require.Equal(t, test.want, got, name)
	}
	_, err := someone().unreachable(filepath.Join(open, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	open, closed := closedDir(t)
	odd := filepath.Join(open, "my data, 100%")
	require.NoError(t, os.Mkdir(odd, 0o700))
	for name, test := range map[string]struct {
		account account
		dir     string
		byName  bool
	}{
		"reachable":              {someone(), open, true},
		"the program's own":      {currentAccount(), closed, true},
		"unreachable":            {someone(), closed, false},
		"a name with meaning":    {currentAccount(), odd, false},
		"unreachable, with a \n": {someone(), closed, false},
	} {
		h := home{dir: test.dir, account: test.account}
		cmd := h.account.command(t.Context(), "/bin/true")
		got, err := h.handOver(cmd, test.dir)
		require.NoError(t, err, name)
		if test.byName || !canHandOver() {
			require.Equal(t, test.dir, got, name)
			require.Empty(t, cmd.ExtraFiles, name)
			continue
		}
		require.Equal(t, "/proc/self/fd/3", got, name)
		require.NoError(t, letGo(cmd), name)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	require.True(t, plain("/srv/nexus-2_a+b.c/~x@y"))
	for _, path := range []string{"/a b", "/a,b", `/a"b`, "/a'b", "/a%b", "/a\\b", "/a\nb", "/a$b", "/a#b", "/a?b", "/a&b", "/ä"} {
		require.False(t, plain(path), path)
	}
}

// An earlier version kept what root could not share with the server's user in
// /var/lib, and a pointer to it in the data folder.
func TestDatabaseComesHome(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dataDir, elsewhere := filepath.Join(base, "data"), filepath.Join(base, "nexus-0123456789ab")
	require.NoError(t, os.Mkdir(dataDir, 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(elsewhere, clusterName), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(elsewhere, socketName), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, clusterName, "PG_VERSION"), []byte("15\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, belongsName), []byte(dataDir+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dataDir, pointerName), []byte(elsewhere+"\nwhy\n"), 0o600))

	pointed, err := readPointer(dataDir)
	require.NoError(t, err)
	require.Equal(t, elsewhere, pointed)
	h := home{dir: pointed, account: currentAccount()}
	moved, err := h.moveTo(dataDir)
	require.NoError(t, err)
	require.True(t, moved)
	require.FileExists(t, filepath.Join(dataDir, clusterName, "PG_VERSION"))
	require.NoDirExists(t, elsewhere, "nothing is left over")
	require.NoFileExists(t, filepath.Join(dataDir, pointerName))
	moved, err = h.moveTo(dataDir)
	require.ErrorContains(t, err, "make room", "what is there is not replaced")
	require.False(t, moved)
}

func TestReadPointerRefusesNonsense(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, pointerName), []byte("not a path\n"), 0o600))
	_, err := readPointer(dir)
	require.ErrorContains(t, err, "does not name a folder")
	_, err = findHome(dir)
	require.Error(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, pointerName)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, pointerName), 0o700))
	_, err = readPointer(dir)
	require.ErrorContains(t, err, "read where the database is")
}

func TestExistingHomeMustBeReachable(t *testing.T) {
	t.Parallel()
	// Root owns /etc, and no server runs as root; for anybody else it is foreign.
	_, err := clusterAccount("/etc")
	require.ErrorIs(t, err, ErrForeign)
	require.ErrorContains(t, err, "belongs to user root")
	_, err = clusterAccount(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestClaimFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := currentAccount()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "wide"), 0o755))
	require.NoError(t, own.claim(filepath.Join(dir, "wide")))
	info, err := os.Stat(filepath.Join(dir, "wide"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "link")))
	require.ErrorIs(t, own.claim(filepath.Join(dir, "link")), ErrForeign)
	require.ErrorIs(t, own.claim(filepath.Join(dir, "no", "way")), os.ErrNotExist)
}

func TestUserName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "root", userName(0))
	require.Equal(t, "3999999999", userName(3999999999))
}

func TestShortDirNeedsAShortBase(t *testing.T) {
	h := home{dir: t.TempDir(), account: currentAccount()}
	t.Setenv("TMPDIR", "/"+strings.Repeat("x", maxSocketPath))
	dir, err := h.shortDir()
	require.NoError(t, err)
	require.Equal(t, "/tmp", filepath.Dir(dir))
	require.NoError(t, os.Remove(dir))
}

func TestServesClusterKnowsStrangers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.False(t, servesCluster(t.Context(), os.Getpid(), dir), "another program")
	require.False(t, servesCluster(t.Context(), 1<<29, dir), "no process")
}

func TestClearOrphan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, clearOrphan(t.Context(), dir, zerolog.Nop()), "no server was ever there")
	require.NoError(t, os.WriteFile(pidFile(dir), []byte("garbage"), 0o600))
	require.NoError(t, clearOrphan(t.Context(), dir, zerolog.Nop()))
	require.FileExists(t, pidFile(dir))
	require.NoError(t, os.Remove(pidFile(dir)))
	require.NoError(t, os.Mkdir(pidFile(dir), 0o700))
	require.ErrorContains(t, clearOrphan(t.Context(), dir, zerolog.Nop()), "pid file")
}

func TestSweepRemovesWhatNobodyUses(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	old := time.Now().Add(-2 * staleAfter)
	folder := func(name string, age time.Time) string {
		dir := filepath.Join(base, name)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, clusterName), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, lockName), nil, 0o600))
		require.NoError(t, os.Chtimes(dir, age, age))
		return dir
	}
	unused := folder(temporaryPrefix+"unused", old)
	crashed := folder(temporaryPrefix+"crashed", old)
	require.NoError(t, os.WriteFile(pidFile(filepath.Join(crashed, clusterName)), []byte("536870912\n"), 0o600))
	used := folder(temporaryPrefix+"used", old)
	lock, err := dirlock.Acquire(filepath.Join(used, lockName))
	require.NoError(t, err)
	fresh := folder(temporaryPrefix+"fresh", time.Now())
	other := folder("another-program", old)
	require.NoError(t, os.Symlink(other, filepath.Join(base, temporaryPrefix+"link")))

	sweep(t.Context(), base)
	require.NoDirExists(t, unused)
	require.NoDirExists(t, crashed)
	require.DirExists(t, used, "its program lives")
	require.DirExists(t, fresh, "its program may be about to lock it")
	require.DirExists(t, other)
	require.NoError(t, lock.Release())
}

func TestPollEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := poll(ctx, func() (bool, error) {
		calls++
		cancel()
		return false, nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, calls)
}

func TestLogIsSetAsideWhenLarge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), logName)
	require.NoError(t, os.WriteFile(path, []byte("old\n"), 0o600))
	require.NoError(t, os.Truncate(path, maxLogSize+1))
	file, start, err := openLog(path)
	require.NoError(t, err)
	require.Zero(t, start)
	require.FileExists(t, path+".1")
	require.Empty(t, tail(path, start))

	_, err = file.WriteString(strings.Repeat("line\n", 5000) + "last\n")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	quoted := tail(path, start)
	require.True(t, strings.HasSuffix(quoted, "\n  line\n  last"))
	require.Equal(t, tailLines, strings.Count(quoted, "\n"))
	require.Empty(t, tail(path+".missing", 0))

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink("/etc/hostname", path))
	_, _, err = openLog(path)
	require.ErrorIs(t, err, syscall.ELOOP)
}
