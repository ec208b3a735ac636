package objectstore_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/objectstore"
)

func checksum(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

// files returns the names of everything below a folder.
func files(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	return names
}

func TestPut(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "new", "objects")
	store := objectstore.New(root)
	sum := checksum("content")
	require.Equal(t, filepath.Join(root, sum[:2], sum), store.Path(sum))
	for range 2 {
		require.NoError(t, store.Put(t.Context(), sum, []byte("content")))
		data, err := os.ReadFile(store.Path(sum))
		require.NoError(t, err)
		require.Equal(t, "content", string(data))
	}
	require.NoError(t, store.Put(t.Context(), checksum(""), nil))
	require.Len(t, files(t, root), 2)
}

func TestPutMendsAnObjectOfTheWrongSize(t *testing.T) {
	t.Parallel()
	store := objectstore.New(t.TempDir())
	sum := checksum("content")
	require.NoError(t, os.MkdirAll(filepath.Dir(store.Path(sum)), 0o750))
	require.NoError(t, os.WriteFile(store.Path(sum), []byte("con"), 0o600))
	require.NoError(t, store.Put(t.Context(), sum, []byte("content")))
	data, err := os.ReadFile(store.Path(sum))
	require.NoError(t, err)
	require.Equal(t, "content", string(data))
}

func TestPutAtOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	store := objectstore.New(root)
	errs := make([]error, 40)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			data := fmt.Sprintf("content %d", i%4)
			errs[i] = store.Put(t.Context(), checksum(data), []byte(data))
		})
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, files(t, root), 4, "no partial files may stay")
}

func TestPutRefusesWhatIsNoChecksum(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	store := objectstore.New(root)
	for _, sum := range []string{"", "ab", "../../etc/passwd", checksum("x")[:63] + "g", checksum("x") + "00"} {
		require.ErrorContains(t, store.Put(t.Context(), sum, []byte("x")), "not a SHA-256 checksum")
	}
	require.Empty(t, files(t, root))
}

func TestPutSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(root, nil, 0o600))
	sum := checksum("x")
	require.ErrorContains(t, objectstore.New(root).Put(t.Context(), sum, []byte("x")), "store object "+sum)

	inTheWay := t.TempDir()
	store := objectstore.New(inTheWay)
	require.NoError(t, os.MkdirAll(filepath.Join(store.Path(sum), "folder"), 0o750))
	require.ErrorContains(t, store.Put(t.Context(), sum, []byte("x")), "store object "+sum)
	require.Empty(t, files(t, inTheWay), "no partial files may stay")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "deep", "objects")
	require.NoError(t, objectstore.New(root).Check())
	require.NoError(t, objectstore.New(root).Check())
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left over")

	file := filepath.Join(root, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, objectstore.New(file).Check(), "cannot be written")
	require.ErrorContains(t, objectstore.New(filepath.Join(file, "below")).Check(), "cannot be written")
	require.ErrorContains(t, objectstore.New("/proc/objects").Check(), "cannot be written", "nobody may write there")
}
