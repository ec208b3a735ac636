package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/google/uuid"
)

// Lookup returns the absolute path that a path in the root leads to, with links
// resolved, and whether there is a regular file. A path outside the root is an
// *EscapeError.
func (r *Root) Lookup(name string) (resolved string, exists bool, err error) {
	if resolved, err = r.resolve(name); err != nil {
		return "", false, err
	}
	info, err := r.files.Stat(r.relative(resolved))
	if err != nil && !isAbsent(err) {
		return "", false, fmt.Errorf("look at %s: %w", filepath.Base(resolved), err)
	}
	return resolved, err == nil && info.Mode().IsRegular(), nil
}

// Write puts a file into the root, whole or not at all. Folders on its way are
// made. Until it is whole it has a name that a walk passes over.
func (r *Root) Write(name string, data []byte) (err error) {
	dir := path.Dir(name)
	if err := r.files.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	part := path.Join(dir, "."+uuid.NewString()+".part")
	defer func() {
		if err != nil {
			if rm := r.files.Remove(part); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
				err = errors.Join(err, rm)
			}
		}
	}()
	file, err := r.files.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("make the file: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	if err := r.files.Rename(part, name); err != nil {
		return fmt.Errorf("give the file its name: %w", err)
	}
	return nil
}
