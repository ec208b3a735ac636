package embedpg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names inside the data folder, and inside the fallback folder when the
// database had to go there.
const (
	clusterName  = "cluster"
	halfMadeName = "cluster.new"
	socketName   = "socket"
	lockName     = "lock"
	logName      = "postgres.log"
	pointerName  = "cluster-location"
	belongsName  = "belongs-to"
)

// defaultFallback holds databases that cannot live in their data folder.
const defaultFallback = "/var/lib"

// home is the folder that holds the database files and the account that owns
// them: the data folder itself, or a folder under the fallback.
type home struct {
	dir     string
	account account
	// relocated says that dir is not the data folder.
	relocated bool
	// forsaken is a folder to move away before dir is used: its data folder was
	// deleted, so its database must not come back.
	forsaken bool
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
func findHome(dataDir, fallback string) (home, error) {
	if occupied(filepath.Join(dataDir, clusterName)) {
		return existingHome(home{dir: dataDir})
	}
	pointed, err := readPointer(dataDir)
	if err != nil {
		return home{}, err
	}
	if pointed != "" && occupied(filepath.Join(pointed, clusterName)) {
		return existingHome(home{dir: pointed, relocated: true})
	}
	account, err := serverAccount()
	if err != nil {
		return home{}, err
	}
	return newHome(account, dataDir, fallback, pointed)
}

func existingHome(h home) (home, error) {
	account, err := clusterAccount(h.cluster())
	if err != nil {
		return home{}, err
	}
	h.account = account
	blocked, err := account.unreachable(h.dir)
	if err != nil {
		return home{}, err
	}
	if blocked != "" {
		return home{}, fmt.Errorf("the database in %s cannot be reached by its owner, user %s: allow everybody to pass %s (chmod o+x)",
			h.dir, account.name, blocked)
	}
	return h, nil
}

func newHome(account account, dataDir, fallback, pointed string) (home, error) {
	blocked, err := account.unreachable(dataDir)
	if err != nil {
		return home{}, err
	}
	if blocked == "" {
		return home{dir: dataDir, account: account}, nil
	}
	if fallback == "" {
		fallback = defaultFallback
	}
	if other, err := account.unreachable(fallback); err != nil {
		return home{}, err
	} else if other != "" {
		return home{}, fmt.Errorf("user %s can reach neither %s (no way through %s) nor %s (no way through %s)",
			account.name, dataDir, blocked, fallback, other)
	}
	hash := sha256.Sum256([]byte(dataDir))
	dir := filepath.Join(fallback, "nexus-"+hex.EncodeToString(hash[:6]))
	return home{dir: dir, account: account, relocated: true, forsaken: pointed != dir && exists(dir)}, nil
}

// link creates a relocated home; it and its data folder each say where the other
// is.
func (h home) link(dataDir string) error {
	pointer := h.dir + "\nThe database of this folder lives there, because user " + h.account.name +
		" cannot pass the folders above this one.\nTo start afresh delete this folder; the other one is then set aside.\n"
	if err := os.WriteFile(filepath.Join(dataDir, pointerName), []byte(pointer), 0o600); err != nil {
		return fmt.Errorf("note where the database is: %w", err)
	}
	if err := os.Mkdir(h.dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create a folder for the database: %w", err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, belongsName), []byte(dataDir+"\n"), 0o600); err != nil {
		return fmt.Errorf("note whose database it is: %w", err)
	}
	return nil
}

// setAside renames a forsaken folder, keeping its data, and returns the new name.
func (h home) setAside() (string, error) {
	aside := h.dir + "-old-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(h.dir, aside); err != nil {
		return "", fmt.Errorf("set the database of a deleted data folder aside: %w", err)
	}
	return aside, nil
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
