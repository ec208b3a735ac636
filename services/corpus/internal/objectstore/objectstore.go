package objectstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"nexus.internal/libs/fault"
)

// Store is a folder of objects. It may be used from several goroutines and by
// several processes at once.
type Store struct {
	root string
}

// New makes a store in a folder, which is created with the first object or by
// Check.
func New(root string) *Store {
	return &Store{root: root}
}

// Check creates the folder and writes a file into it, so that a store nobody
// could use is found out at once. A disk that is full is none: it may have room
// again when it matters.
func (s *Store) Check() error {
	err := s.tryToWrite()
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the folder for objects cannot be written: %w", err)
	}
	return nil
}

func (s *Store) tryToWrite() error {
	if err := os.MkdirAll(s.root, 0o750); err != nil {
		return err
	}
	file, err := os.CreateTemp(s.root, ".check-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// Path returns where the object with a checksum (SHA-256 in hex) is kept: in a
// folder named after its first two digits.
func (s *Store) Path(checksum string) string {
	return filepath.Join(s.root, checksum[:2], checksum)
}

// Put stores data under its checksum (SHA-256 in hex). Once it returns, the
// object survives a crash of the machine. An object that is there already is
// left as it is. A store that cannot be reached or written, or is full, is a fault of
// kind Unavailable.
func (s *Store) Put(_ context.Context, checksum string, data []byte) error {
	if _, err := parse(checksum); err != nil {
		return err
	}
	path := s.Path(checksum)
	info, err := os.Stat(path)
	if err == nil && info.Size() == int64(len(data)) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable(checksum, err)
	}
	if err := write(path, data); err != nil {
		return unavailable(checksum, err)
	}
	return nil
}

// parse reads a checksum, SHA-256 in hex.
func parse(checksum string) ([]byte, error) {
	raw, err := hex.DecodeString(checksum)
	if err != nil || len(raw) != 32 {
		return nil, fmt.Errorf("store object: %q is not a SHA-256 checksum in hex", checksum)
	}
	return raw, nil
}

// unavailable is the trouble of a store: none of it is the object's own.
func unavailable(checksum string, err error) error {
	return fault.Wrap(fault.Unavailable, fmt.Errorf("store object %s: %w", checksum, err), "The object store cannot take an object now.")
}

// write makes the file appear under its name only when it is whole: it is
// written beside it, flushed and renamed.
func write(path string, data []byte) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(folder, ".partial-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreAbsent(os.Remove(temporary.Name())))
		}
	}()
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Sync()
	}
	if err = errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return errors.Join(syncFolder(folder), syncFolder(filepath.Dir(folder)))
}

// syncFolder makes the names in a folder survive a crash of the machine.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
