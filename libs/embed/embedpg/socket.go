package embedpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// port only names the socket file; nothing listens on TCP.
	port       = "5432"
	socketFile = ".s.PGSQL." + port
	// maxSocketPath is the longest path of a unix socket in bytes: 107 on Linux,
	// 103 on macOS and the BSDs (sun_path without its final zero).
	maxSocketPath = 103
	// shortPrefix starts the names of temporary socket folders.
	shortPrefix = "nxpg-"
)

// socketDir returns the folder for the server's socket: the home's own, or when
// that is too long for an address, or not plain enough for a connection string,
// a temporary one, which a link in the home's place remembers so that a later
// start can remove what a crash left.
func (h home) socketDir() (string, error) {
	own := h.socket()
	if err := dropShortDir(own); err != nil {
		return "", err
	}
	if plain(own) && len(filepath.Join(own, socketFile)) <= maxSocketPath {
		return own, h.account.claim(own)
	}
	short, err := h.shortDir()
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(own); err != nil {
		return "", fmt.Errorf("replace the socket folder: %w", err)
	}
	if err := os.Symlink(short, own); err != nil {
		return "", fmt.Errorf("remember the socket folder: %w", err)
	}
	return short, nil
}

// shortDir creates a private folder with a short path.
func (h home) shortDir() (string, error) {
	var problems []error
	for _, base := range []string{os.TempDir(), "/tmp"} {
		if len(filepath.Join(base, shortPrefix+"0123456789", socketFile)) > maxSocketPath {
			problems = append(problems, fmt.Errorf("%s is too long for a socket path", base))
			continue
		}
		if !plain(base) {
			problems = append(problems, fmt.Errorf("%q does not fit into a connection string", base))
			continue
		}
		dir, err := os.MkdirTemp(base, shortPrefix)
		if err == nil {
			return dir, h.account.claim(dir)
		}
		problems = append(problems, err)
	}
	return "", fmt.Errorf("create a folder for the server's socket: %w", errors.Join(problems...))
}

// dropShortDir removes the temporary folder that the link at path remembers,
// and the link. It removes nothing but what a server leaves in such a folder.
func dropShortDir(path string) error {
	short, err := os.Readlink(path)
	if err != nil {
		return nil // not a link: nothing to remove
	}
	if strings.HasPrefix(filepath.Base(short), shortPrefix) {
		for _, name := range []string{socketFile, socketFile + ".lock", ""} {
			// What is gone, or has become somebody else's, may stay as it is.
			_ = os.Remove(filepath.Join(short, name))
		}
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("forget the socket folder: %w", err)
	}
	return nil
}
