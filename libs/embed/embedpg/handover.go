package embedpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// maxName is the longest folder name that the PostgreSQL programs are given, in
// bytes. They cut names off at 1024, with names of their own behind this one.
const maxName = 700

// handOver adds dir to the arguments and open files of cmd as needed for it to
// reach dir, and returns the name by which it does. That is the folder's own,
// unless the server's user cannot pass a folder above it (root's home, say), or
// it holds characters that somebody on the way may read as something else: then
// the program gets the folder open.
func (h home) handOver(cmd *exec.Cmd, dir string) (string, error) {
	blocked, err := h.account.unreachable(dir)
	if err != nil {
		return "", err
	}
	if blocked == "" && plain(dir) && len(dir) <= maxName {
		return dir, nil
	}
	if !canHandOver() {
		if blocked == "" {
			return dir, nil
		}
		return "", fmt.Errorf("user %s cannot reach %s: allow everybody to pass %s (chmod o+x), or choose another NEXUS_DATA_DIR",
			h.account.name, dir, blocked)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return "", fmt.Errorf("open a folder for the server: %w", err)
	}
	const firstExtraFile = 3
	cmd.ExtraFiles = append(cmd.ExtraFiles, folder)
	return fmt.Sprintf("%s/%d", openFiles, firstExtraFile+len(cmd.ExtraFiles)-1), nil
}

// letGo closes what was handed over; the program has its own copies.
func letGo(cmd *exec.Cmd) error {
	var errs []error
	for _, file := range cmd.ExtraFiles {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// plain reports whether path is free of characters that have a meaning in a
// list, a connection string, a shell, a line of a file or an address.
func plain(path string) bool {
	const special = "/.-_+~@=:"
	for _, c := range []byte(path) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(special, c) < 0 {
			return false
		}
	}
	return true
}
