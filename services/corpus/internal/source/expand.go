package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// File is a file of the corpus.
type File struct {
	// Path is absolute, with links resolved.
	Path string
	// Problem says why the file cannot be read; empty when nothing is known
	// against it.
	Problem string
}

// Listing is what a set of source paths comes to.
type Listing struct {
	// Files are in the order of the paths, those of a folder by name, each once.
	Files []File
	// Notes are sentences about what was passed over in folders.
	Notes []string
}

// TooManyFilesError says that a batch has more files than it may.
type TooManyFilesError struct {
	Limit int
}

// Error implements error.
func (e *TooManyFilesError) Error() string {
	return fmt.Sprintf("the batch has more than %d files: name fewer paths, or raise NEXUS_CORPUS_MAX_FILES", e.Limit)
}

// Expand lists the files that source paths stand for: files as they are, and
// folders with everything in them, except names that begin with a dot. No paths
// stand for the whole root. One path outside the root (*EscapeError) and more
// than limit files (*TooManyFilesError) refuse the whole batch; a file that is
// missing or not regular is listed with its Problem.
func (r *Root) Expand(ctx context.Context, paths []string, limit int) (Listing, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	e := expansion{root: r, limit: limit, seen: map[string]bool{}}
	resolved := make([]string, len(paths))
	for i, path := range paths {
		var err error
		if resolved[i], err = r.resolve(path); err != nil {
			return Listing{}, err
		}
	}
	for _, path := range resolved {
		if err := e.addPath(ctx, path); err != nil {
			return Listing{}, err
		}
	}
	if e.unnoted > 0 {
		e.listing.Notes = append(e.listing.Notes, fmt.Sprintf("%d more entries of folders were passed over", e.unnoted))
	}
	return e.listing, nil
}

// maxNotes bounds the notes of a listing.
const maxNotes = 100

type expansion struct {
	root    *Root
	limit   int
	seen    map[string]bool
	listing Listing
	unnoted int
}

func (e *expansion) add(f File) error {
	if e.seen[f.Path] {
		return nil
	}
	if !utf8.ValidString(f.Path) {
		e.seen[f.Path] = true
		e.note("%q was passed over: its path is not valid UTF-8", f.Path)
		return nil
	}
	if len(e.listing.Files) == e.limit {
		return &TooManyFilesError{e.limit}
	}
	e.seen[f.Path] = true
	e.listing.Files = append(e.listing.Files, f)
	return nil
}

func (e *expansion) note(format string, args ...any) {
	if len(e.listing.Notes) == maxNotes {
		e.unnoted++
		return
	}
	e.listing.Notes = append(e.listing.Notes, fmt.Sprintf(format, args...))
}

// addPath adds a path that was named in the request.
func (e *expansion) addPath(ctx context.Context, path string) error {
	info, err := e.root.files.Stat(e.root.relative(path))
	switch {
	case err != nil:
		return e.add(File{path, problemOf(err)})
	case info.IsDir():
		return e.walk(ctx, path)
	case !info.Mode().IsRegular():
		return e.add(File{path, "is not a regular file"})
	default:
		return e.add(File{Path: path})
	}
}

// walk adds the files below a folder.
func (e *expansion) walk(ctx context.Context, folder string) error {
	top := e.root.relative(folder)
	return fs.WalkDir(e.root.files.FS(), top, func(name string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fmt.Errorf("walk %s: %w", folder, context.Cause(ctx))
		}
		path := filepath.Join(e.root.dir, filepath.FromSlash(name))
		if err != nil {
			return e.add(File{path, problemOf(err)})
		}
		if name == top {
			return nil
		}
		return e.addEntry(path, entry)
	})
}

func (e *expansion) addEntry(path string, entry fs.DirEntry) error {
	if strings.HasPrefix(entry.Name(), ".") || e.isExcluded(path) {
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	switch {
	case !utf8.ValidString(path):
		e.note("%q was passed over: its path is not valid UTF-8", path)
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	case entry.IsDir():
		return nil
	case entry.Type()&fs.ModeSymlink != 0:
		return e.addLink(path)
	case !entry.Type().IsRegular():
		e.note("%s was passed over: it is not a regular file", path)
		return nil
	default:
		return e.add(File{Path: path})
	}
}

// addLink adds the file a link in a folder leads to. Links to folders are not
// followed, so that a walk always ends.
func (e *expansion) addLink(path string) error {
	target, err := e.root.resolve(path)
	if err != nil {
		return e.add(File{path, "is a symbolic link that escapes corpus_root"})
	}
	info, err := e.root.files.Stat(e.root.relative(target))
	switch {
	case err != nil:
		return e.add(File{path, "is a symbolic link that leads nowhere"})
	case info.IsDir():
		e.note("%s was passed over: it is a symbolic link to a folder", path)
		return nil
	case !info.Mode().IsRegular():
		e.note("%s was passed over: it is not a regular file", path)
		return nil
	default:
		return e.add(File{Path: target})
	}
}

func (e *expansion) isExcluded(path string) bool {
	for _, excluded := range e.root.excluded {
		if within(excluded, path) {
			return true
		}
	}
	return false
}

// problemOf says in words what a file operation failed of, without the path.
func problemOf(err error) string {
	if isAbsent(err) {
		return "does not exist"
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return "cannot be read: " + err.Error()
}
