// Package dirlock keeps two processes from using one data folder. The lock is
// the kernel's (flock): it ends with the process, however that dies, so a lock
// file that was left behind means nothing.
//
// It does not lock anything between threads of one owner, and it does not work
// on network file systems without flock.
package dirlock

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// HeldError says that somebody else holds the lock.
type HeldError struct {
	// Path is the lock file.
	Path string
	// PID is the process the holder wrote into the file; "" when it has not yet.
	PID string
}

// Error implements error.
func (e *HeldError) Error() string {
	if e.PID == "" {
		return e.Path + " is locked by another process"
	}
	return fmt.Sprintf("%s is locked by process %s", e.Path, e.PID)
}

// Lock is a lock that is held.
type Lock struct{ file *os.File }

// Acquire takes the lock at path, creating the file (0600) if needed, without
// waiting. A link at path is refused. It returns a *HeldError when the lock is
// taken.
func Acquire(path string) (*Lock, error) {
	// Go opens files close-on-exec: a server that is started while the lock is
	// held does not inherit it.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = file.Close() }()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &HeldError{Path: path, PID: holder(file)}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := writePID(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("write lock file %s: %w", path, err)
	}
	return &Lock{file: file}, nil
}

// Release gives the lock up. The file stays: removing it would let two later
// processes lock two different files of the same name.
func (l *Lock) Release() error {
	// Closing alone would not do while a program that is just being started
	// still has its copy of the file, between fork and exec.
	err := flock(l.file, syscall.LOCK_UN)
	if err := errors.Join(err, l.file.Close()); err != nil {
		return fmt.Errorf("release lock %s: %w", l.file.Name(), err)
	}
	return nil
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func holder(file *os.File) string {
	var text [32]byte
	n, _ := file.ReadAt(text[:], 0) // it fails at the end of the file, always
	return strings.TrimSpace(string(text[:n]))
}
