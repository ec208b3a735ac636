package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// File is a history that is being written. Its methods may be called from any
// goroutine.
type File struct {
	mu    sync.Mutex
	out   *bufio.Writer
	close func() error
	err   error
}

// Create begins a history in a new file.
func Create(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the history: %w", err)
	}
	return &File{out: bufio.NewWriter(f), close: f.Close}, nil
}

// Add adds a record and stamps it. An error shows in Close.
func (f *File) Add(r Record) {
	r.At = time.Now().UTC()
	line, err := json.Marshal(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		_, err = f.out.Write(append(line, '\n'))
	}
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("write the history: %w", err)
	}
}

// Close ends the history; it is whole only when there is no error.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.err, f.out.Flush(), f.close())
}

// maxLine bounds a record, in bytes.
const maxLine = 4 << 20

// Read reads a history.
func Read(r io.Reader) ([]Record, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var out []Record
	for lines.Scan() {
		var rec Record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			return nil, fmt.Errorf("read line %d of the history: %w", len(out)+1, err)
		}
		out = append(out, rec)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return out, nil
}

// ReadFile reads a history from a file.
func ReadFile(path string) (_ []Record, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return Read(f)
}
