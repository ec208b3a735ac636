package dirlock_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/internal/dirlock"
)

func TestAcquireRefusesASecondHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")

	first, err := dirlock.Acquire(path)
	require.NoError(t, err)

	_, err = dirlock.Acquire(path)
	var held *dirlock.HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, strconv.Itoa(os.Getpid()), held.PID)
	require.EqualError(t, err, path+" is locked by process "+held.PID)

	require.NoError(t, first.Release())
	second, err := dirlock.Acquire(path)
	require.NoError(t, err)
	require.NoError(t, second.Release())
	require.Error(t, second.Release(), "a lock is released once")
}

func TestAcquireIgnoresAFileLeftBehind(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	require.NoError(t, os.WriteFile(path, []byte("1234567890 and more"), 0o600))

	lock, err := dirlock.Acquire(path)
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(os.Getpid())+"\n", string(text))
	require.NoError(t, lock.Release())
}

func TestAcquireNamesAFileItCannotOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "lock")
	_, err := dirlock.Acquire(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path)
}

func TestHeldErrorWithoutPID(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &dirlock.HeldError{Path: "/x"}, "/x is locked by another process")
}
