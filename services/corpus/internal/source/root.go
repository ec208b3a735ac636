package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// MaxPath is the longest path, in bytes, once it is absolute.
const MaxPath = 4096

// Root is the corpus root. Use Open to make one and Close to give it back. It
// may be used from several goroutines.
type Root struct {
	dir      string // absolute, links resolved
	excluded []string
	files    *os.Root
}

// MissingRootError says that the corpus root cannot be used.
type MissingRootError struct {
	Dir   string
	Cause error
}

// Error implements error.
func (e *MissingRootError) Error() string {
	return fmt.Sprintf("corpus root %q is missing or not a folder: set NEXUS_CORPUS_ROOT to the folder that holds the corpus",
		e.Dir)
}

// Unwrap returns the cause.
func (e *MissingRootError) Unwrap() error { return e.Cause }

// EscapeError says that a path leads out of the corpus root.
type EscapeError struct {
	Path string
}

// Error implements error.
func (e *EscapeError) Error() string {
	return fmt.Sprintf("path %q escapes corpus_root", e.Path)
}

// PathTooLongError says that a path is longer than MaxPath.
type PathTooLongError struct {
	Bytes int
}

// Error implements error.
func (e *PathTooLongError) Error() string {
	return fmt.Sprintf("a source path of %d bytes is longer than the limit of %d", e.Bytes, MaxPath)
}

// Open opens the corpus root. Folders in exclude, and what is in them, are no
// part of the corpus although they lie inside it. A root that is missing or not
// a folder is a *MissingRootError.
func Open(dir string, exclude ...string) (*Root, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, &MissingRootError{dir, err}
	}
	resolved, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return nil, &MissingRootError{dir, err}
	}
	files, err := os.OpenRoot(resolved)
	if err != nil {
		return nil, &MissingRootError{dir, err}
	}
	root := &Root{dir: resolved, files: files}
	for _, e := range exclude {
		// A folder that does not exist yet, or cannot be resolved, holds nothing
		// that a walk could meet.
		if e, err = filepath.Abs(e); err != nil {
			continue
		}
		if e, err = filepath.EvalSymlinks(e); err == nil && e != resolved {
			root.excluded = append(root.excluded, e)
		}
	}
	return root, nil
}

// Close gives the handle on the root back.
func (r *Root) Close() error {
	if err := r.files.Close(); err != nil {
		return fmt.Errorf("close corpus root: %w", err)
	}
	return nil
}

// resolve returns the absolute path that a source path leads to, with links
// resolved. What does not exist is resolved as far as it does. A path outside
// the root is an *EscapeError, whether or not it exists.
func (r *Root) resolve(path string) (string, error) {
	absolute := path
	if !filepath.IsAbs(path) {
		absolute = filepath.Join(r.dir, path)
	}
	absolute = filepath.Clean(absolute)
	if len(absolute) > MaxPath {
		return "", &PathTooLongError{len(absolute)}
	}
	resolved, err := resolveExisting(absolute)
	if err != nil {
		return "", err
	}
	if !within(r.dir, resolved) || slices.ContainsFunc(r.excluded, func(e string) bool { return within(e, resolved) }) {
		return "", &EscapeError{path}
	}
	return resolved, nil
}

// resolveExisting resolves the links of the longest beginning of path that
// exists, and appends the rest.
func resolveExisting(path string) (string, error) {
	rest := ""
	for {
		resolved, err := filepath.EvalSymlinks(path)
		switch {
		case err == nil:
			return filepath.Join(resolved, rest), nil
		case !isAbsent(err):
			// A loop of links or a forbidden folder: the path stays as it is, and
			// opening it will say what is wrong.
			return filepath.Join(path, rest), nil
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "", fmt.Errorf("resolve %s: %w", path, err)
		}
		rest = filepath.Join(filepath.Base(path), rest)
		path = parent
	}
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// within tells whether path is dir or below it; both are absolute and clean.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}

// relative returns the slash-separated name of a path below the root.
func (r *Root) relative(path string) string {
	name, err := filepath.Rel(r.dir, path)
	if err != nil {
		return "." // both are absolute, so there is always a way
	}
	return filepath.ToSlash(name)
}
