package source_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/source"
)

const manyFiles = 1000

// corpus makes a folder with files, named by their relative paths.
func corpus(t *testing.T, files ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	dir = filepath.Join(dir, "corpus")
	require.NoError(t, os.Mkdir(dir, 0o750))
	for _, name := range files {
		write(t, filepath.Join(dir, name), "content of "+name)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func open(t *testing.T, dir string, exclude ...string) *source.Root {
	t.Helper()
	root, err := source.Open(dir, exclude...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	return root
}

// expand lists files relative to dir, with their problem behind a colon.
func expand(t *testing.T, dir string, root *source.Root, paths ...string) (files, notes []string) {
	t.Helper()
	listing, err := root.Expand(t.Context(), paths, manyFiles)
	require.NoError(t, err)
	for _, f := range listing.Files {
		name, err := filepath.Rel(dir, f.Path)
		require.NoError(t, err)
		if f.Problem != "" {
			name += ": " + f.Problem
		}
		files = append(files, name)
	}
	return files, listing.Notes
}

func TestOpenNeedsAFolder(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "file.md")
	for _, path := range []string{filepath.Join(dir, "absent"), filepath.Join(dir, "file.md"), filepath.Join(dir, "file.md", "x")} {
		_, err := source.Open(path)
		var missing *source.MissingRootError
		require.ErrorAs(t, err, &missing)
		require.ErrorContains(t, err, "corpus root")
		require.ErrorContains(t, err, "NEXUS_CORPUS_ROOT")
		require.Error(t, missing.Unwrap())
	}
}

func TestExpandTheWholeRoot(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "b.md", "a/z.txt", "a/b/c.yaml", "a/.hidden", ".git/config", ".env", "c.pdf")
	files, notes := expand(t, dir, open(t, dir))
	require.Equal(t, []string{"a/b/c.yaml", "a/z.txt", "b.md", "c.pdf"}, files)
	require.Empty(t, notes)
}

func TestExpandOfAnEmptyRoot(t *testing.T) {
	t.Parallel()
	dir := corpus(t)
	files, notes := expand(t, dir, open(t, dir))
	require.Empty(t, files)
	require.Empty(t, notes)
}

func TestExpandNamedPaths(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "b.md", "a/z.txt", "a/y.txt", ".hidden.md")
	root := open(t, dir)
	for name, c := range map[string]struct {
		paths, want []string
	}{
		"relative":           {[]string{"b.md"}, []string{"b.md"}},
		"absolute":           {[]string{filepath.Join(dir, "b.md")}, []string{"b.md"}},
		"unclean":            {[]string{"a/../b.md", "./b.md", "a//z.txt"}, []string{"b.md", "a/z.txt"}},
		"in the order given": {[]string{"b.md", "a/z.txt"}, []string{"b.md", "a/z.txt"}},
		"a folder, once":     {[]string{"a/z.txt", "a"}, []string{"a/z.txt", "a/y.txt"}},
		"the root itself":    {[]string{"."}, []string{"a/y.txt", "a/z.txt", "b.md"}},
		"hidden, when named": {[]string{".hidden.md"}, []string{".hidden.md"}},
		"missing":            {[]string{"no.md", "b.md"}, []string{"no.md: does not exist", "b.md"}},
		"below a file":       {[]string{"b.md/x"}, []string{"b.md/x: does not exist"}},
		"missing folder":     {[]string{"x/y/../z"}, []string{"x/z: does not exist"}},
		"name that is too long": {[]string{strings.Repeat("x", 300)}, []string{
			strings.Repeat("x", 300) + ": cannot be read: file name too long",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, _ := expand(t, dir, root, c.paths...)
			require.Equal(t, c.want, files)
		})
	}
}

func TestPathsOutsideTheRootRefuseTheBatch(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "in.md")
	outside := filepath.Join(filepath.Dir(dir), "outside.md")
	write(t, outside, "secret")
	write(t, dir+"-beside/b.md", "secret")
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link.md")))
	require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(dir, "up")))
	root := open(t, dir)
	for _, path := range []string{
		"../outside.md", outside, "/etc/passwd", "..", "/", "a/../../outside.md", "../corpus-beside/b.md",
		dir + "-beside/b.md", "link.md", "up/outside.md", "up", "up/absent.md", "../does/not/exist", dir + "/../outside.md",
	} {
		_, err := root.Expand(t.Context(), []string{"in.md", path}, manyFiles)
		var escape *source.EscapeError
		require.ErrorAs(t, err, &escape, "path %q", path)
		require.ErrorContains(t, err, "escapes corpus_root")
	}
}

func TestPathsThatAreNoTraversal(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "..name/x.md", "a..b.md")
	root := open(t, dir)
	files, _ := expand(t, dir, root, "..name/x.md", "a..b.md", "%2e%2e/x", `..\x`)
	require.Equal(t, []string{"..name/x.md", "a..b.md", "%2e%2e/x: does not exist", `..\x: does not exist`}, files)
}

func TestPathsThatAreTooLong(t *testing.T) {
	t.Parallel()
	root := open(t, corpus(t))
	_, err := root.Expand(t.Context(), []string{strings.Repeat("abc/", 1024)}, manyFiles)
	var long *source.PathTooLongError
	require.ErrorAs(t, err, &long)
	require.ErrorContains(t, err, "limit of 4096")
}

func TestLinksInsideTheRootAreResolved(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "real/text.md")
	require.NoError(t, os.Symlink("real/text.md", filepath.Join(dir, "alias.md")))
	require.NoError(t, os.Symlink("real", filepath.Join(dir, "folder")))
	entrance := filepath.Join(filepath.Dir(dir), "entrance")
	require.NoError(t, os.Symlink(dir, entrance))

	for _, root := range []*source.Root{open(t, dir), open(t, entrance)} {
		files, _ := expand(t, dir, root, "alias.md", "folder/text.md", filepath.Join(entrance, "real/text.md"))
		require.Equal(t, []string{"real/text.md"}, files)
		files, notes := expand(t, dir, root)
		require.Equal(t, []string{"real/text.md"}, files)
		require.Len(t, notes, 1)
		require.Contains(t, notes[0], "symbolic link to a folder")
	}
}

func TestBadEntriesOfFolders(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "good.md", "bad\xff/x.md", "bad\xfe.md")
	outside := filepath.Join(filepath.Dir(dir), "outside.md")
	write(t, outside, "secret")
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "escape.md")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.md")))
	require.NoError(t, os.Symlink("loop.md", filepath.Join(dir, "loop.md")))
	require.NoError(t, os.Symlink("bad\xfe.md", filepath.Join(dir, "to-bad.md")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	require.NoError(t, os.Symlink("pipe", filepath.Join(dir, "to-pipe")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe\xfd"), 0o600))

	files, notes := expand(t, dir, open(t, dir))
	require.Equal(t, []string{
		"dangling.md: is a symbolic link that leads nowhere",
		"escape.md: is a symbolic link that escapes corpus_root",
		"good.md",
		"loop.md: is a symbolic link that leads nowhere",
	}, files)
	all := strings.Join(notes, "\n")
	require.Contains(t, all, "/pipe was passed over: it is not a regular file")
	require.Contains(t, all, "/to-pipe was passed over: it is not a regular file")
	require.Contains(t, all, `pipe\xfd" was passed over: its path is not valid UTF-8`)
	require.True(t, utf8.ValidString(all))
	require.Contains(t, all, `bad\xff" was passed over: its path is not valid UTF-8`)
	require.Contains(t, all, `bad\xfe.md" was passed over: its path is not valid UTF-8`)
}

func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	dir := corpus(t)
	for i := range 130 {
		require.NoError(t, os.Symlink(".", filepath.Join(dir, fmt.Sprintf("link-%03d", i))))
	}
	_, notes := expand(t, dir, open(t, dir))
	require.Len(t, notes, 101)
	require.Equal(t, "30 more entries of folders were passed over", notes[100])
}

func TestTooManyFiles(t *testing.T) {
	t.Parallel()
	root := open(t, corpus(t, "a.md", "b.md", "c.md"))
	listing, err := root.Expand(t.Context(), nil, 3)
	require.NoError(t, err)
	require.Len(t, listing.Files, 3)
	_, err = root.Expand(t.Context(), nil, 2)
	var many *source.TooManyFilesError
	require.ErrorAs(t, err, &many)
	require.ErrorContains(t, err, "more than 2 files")
	require.ErrorContains(t, err, "NEXUS_CORPUS_MAX_FILES")
}

func TestExcludedFolders(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "a.md", "objects/ab/raw", "objects-not/b.md")
	root := open(t, dir, filepath.Join(dir, "objects"), filepath.Join(dir, "absent"), dir)
	files, notes := expand(t, dir, root)
	require.Equal(t, []string{"a.md", "objects-not/b.md"}, files)
	require.Empty(t, notes)
	_, err := root.Expand(t.Context(), []string{"objects/ab/raw"}, manyFiles)
	require.ErrorContains(t, err, "escapes corpus_root")
}

func TestExpandStopsWithItsContext(t *testing.T) {
	t.Parallel()
	root := open(t, corpus(t, "a.md"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := root.Expand(ctx, nil, manyFiles)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "a.md")
	root := open(t, dir)
	data, err := root.Read(source.File{Path: filepath.Join(dir, "a.md")}, 100)
	require.NoError(t, err)
	require.Equal(t, "content of a.md", string(data))

	data, err = root.Read(source.File{Path: filepath.Join(dir, "a.md")}, int64(len(data)))
	require.NoError(t, err)
	require.Len(t, data, 15)
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	dir := corpus(t, "a.md", "folder/b.md")
	outside := filepath.Join(filepath.Dir(dir), "outside.md")
	write(t, outside, "secret")
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "late.md")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "sock"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })

	root := open(t, dir)
	for name, want := range map[string]string{
		"a.md":      "is larger (15 bytes) than the limit of 14 bytes",
		"absent.md": "does not exist",
		"folder":    "is not a regular file",
		"pipe":      "is not a regular file",
		"sock":      "is not a regular file",
		"late.md":   "cannot be read", // a link put there after it was resolved
	} {
		_, err := root.Read(source.File{Path: filepath.Join(dir, name)}, 14)
		require.ErrorContains(t, err, want, name)
		require.NotContains(t, err.Error(), dir)
	}
	_, err = root.Read(source.File{Path: filepath.Join(dir, "a.md"), Problem: "is known to be bad"}, 100)
	require.EqualError(t, err, "is known to be bad")
}

func TestReadRefusesFilesWithoutASize(t *testing.T) {
	t.Parallel()
	// Files of /proc say they are empty and are not.
	root, err := source.Open("/proc/self")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	listing, err := root.Expand(t.Context(), []string{"status"}, manyFiles)
	require.NoError(t, err)
	_, err = root.Read(listing.Files[0], 10)
	require.ErrorContains(t, err, "is larger (11 bytes) than the limit of 10 bytes")
}
