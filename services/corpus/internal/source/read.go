package source

import (
	"errors"
	"fmt"
	"io"
)

// Read returns the bytes of a file. It refuses what is not a regular file and
// what is larger than limit bytes. The error is a sentence about the file that
// does not repeat its path.
func (r *Root) Read(f File, limit int64) ([]byte, error) {
	if f.Problem != "" {
		return nil, errors.New(f.Problem)
	}
	name := r.relative(f.Path)
	// Opening a pipe would wait for its other end, so look before.
	info, err := r.files.Stat(name)
	if err != nil {
		return nil, errors.New(problemOf(err))
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	if info.Size() > limit {
		return nil, tooLarge(info.Size(), limit)
	}
	file, err := r.files.Open(name)
	if err != nil {
		return nil, errors.New(problemOf(err))
	}
	defer func() { _ = file.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, errors.New(problemOf(err))
	}
	if int64(len(data)) > limit {
		return nil, tooLarge(int64(len(data)), limit)
	}
	return data, nil
}

func tooLarge(size, limit int64) error {
	return fmt.Errorf("is larger (%d bytes) than the limit of %d bytes: raise NEXUS_CORPUS_MAX_FILE_BYTES to take it", size, limit)
}
