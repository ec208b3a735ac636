package embedpg

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

const (
	// maxLogSize is when a start sets the server's log aside, in bytes.
	maxLogSize = 16 << 20
	// Errors quote at most this much of a log.
	tailLines = 12
	tailBytes = 4 << 10
)

// openLog opens the server's log for appending and returns where the coming
// entries begin. A log that has grown large becomes postgres.log.1 first.
func openLog(path string) (file *os.File, start int64, err error) {
	if info, err := os.Lstat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, fmt.Errorf("set the server's log aside: %w", err)
		}
	}
	file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open the server's log: %w", err)
	}
	if start, err = file.Seek(0, io.SeekEnd); err != nil {
		_ = file.Close()
		return nil, 0, fmt.Errorf("open the server's log: %w", err)
	}
	return file, start, nil
}

// logSince returns what the log has gained since start, at most its last
// tailBytes.
func logSince(path string, start int64) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil {
		start = max(start, info.Size()-tailBytes)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, start, tailBytes))
	if err != nil {
		return nil
	}
	return text
}

// tail quotes the last lines of a log since start, for the end of an error;
// "" if there are none.
func tail(path string, start int64) string {
	text := bytes.TrimSpace(logSince(path, start))
	if len(text) == 0 {
		return ""
	}
	lines := strings.Split(string(text), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "; its last words:\n  " + strings.Join(lines, "\n  ")
}
