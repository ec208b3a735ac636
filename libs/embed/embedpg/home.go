package embedpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names inside the data folder. An earlier version kept some databases
// elsewhere: the data folder then has a pointer, and the other one a note.
const (
	clusterName  = "cluster"
	halfMadeName = "cluster.new"
	socketName   = "socket"
	lockName     = "lock"
	logName      = "postgres.log"
	pointerName  = "cluster-location"
	belongsName  = "belongs-to"
)

// home is the folder that holds the database files, which is the data folder,
// and the account that owns them.
type home struct {
	dir     string
	account account
}

func (h home) cluster() string  { return filepath.Join(h.dir, clusterName) }
func (h home) halfMade() string { return filepath.Join(h.dir, halfMadeName) }
func (h home) socket() string   { return filepath.Join(h.dir, socketName) }

// openDataDir creates the data folder if needed and returns its true path.
func openDataDir(dir string) (string, error) {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		// The unprivileged user must get through; what it finds inside is
		// protected folder by folder.
		mode = 0o711
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return "", fmt.Errorf("create the data folder: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	if os.Geteuid() == 0 && ownerOf(info).uid == 0 {
		if err := os.Chmod(dir, mode); err != nil {
			return "", fmt.Errorf("open the data folder to the server's user: %w", err)
		}
	}
	return dir, nil
}

// findHome decides where the database is or will be. It changes nothing.
func findHome(dataDir string) (home, error) {
	if occupied(filepath.Join(dataDir, clusterName)) {
		return existingHome(dataDir)
	}
	pointed, err := readPointer(dataDir)
	if err != nil {
		return home{}, err
	}
	if pointed != "" && occupied(filepath.Join(pointed, clusterName)) {
		return existingHome(pointed)
	}
	account, err := serverAccount()
	return home{dir: dataDir, account: account}, err
}

func existingHome(dir string) (home, error) {
	account, err := clusterAccount(filepath.Join(dir, clusterName))
	return home{dir: dir, account: account}, err
}

// moveTo moves a database that an earlier version kept elsewhere into its data
// folder, and removes what pointed to and fro. moved says that it is there, even
// when something failed afterwards.
func (h home) moveTo(dataDir string) (moved bool, err error) {
	// At most an empty folder has the name.
	if err := os.Remove(filepath.Join(dataDir, clusterName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("make room for the database: %w", err)
	}
	if err := os.Rename(h.cluster(), filepath.Join(dataDir, clusterName)); err != nil {
		return false, fmt.Errorf("move the database into its data folder: %w", err)
	}
	if err := errors.Join(syncDir(dataDir), syncDir(h.dir)); err != nil {
		return true, err
	}
	_ = dropShortDir(h.socket())
	// What is not known to be ours stays, and the folder with it.
	for _, path := range []string{
		filepath.Join(h.dir, belongsName), filepath.Join(h.dir, socketName), h.dir, filepath.Join(dataDir, pointerName),
	} {
		_ = os.Remove(path)
	}
	return true, nil
}

// readPointer returns the folder a relocated database is in, "" if there is no
// pointer.
func readPointer(dataDir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, pointerName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read where the database is: %w", err)
	}
	dir, _, _ := strings.Cut(string(text), "\n")
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%s in %s does not name a folder: delete it, or write the folder into its first line",
			pointerName, dataDir)
	}
	return dir, nil
}

// occupied reports whether dir exists and is not known to be empty.
func occupied(dir string) bool {
	entries, err := os.ReadDir(dir)
	return len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
