package trail

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is kept of a dead letter's headers.
const (
	maxHeaders     = 64
	maxHeaderValue = 2048
)

// DeadLetter is a message that somebody could not handle.
type DeadLetter struct {
	// Stream, Sequence and ReceivedAt tell it apart from every other.
	Stream     string
	Sequence   uint64
	ReceivedAt time.Time
	Subject    string
	// Origin is the subject it was first published to, where known.
	Origin string
	Reason string
	// Headers is a JSON object of lists of strings.
	Headers json.RawMessage
	// Body is the beginning of a body of BodySize bytes.
	Body     []byte
	BodySize int
}

// Text makes a string of unknown origin fit to be stored: valid UTF-8 without
// NUL bytes, of at most limit bytes.
func Text(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// secretWords mark names of headers whose values are not for keeping.
func secretWords() []string {
	return []string{"authorization", "api-key", "apikey", "cookie", "password", "secret", "token"}
}

// Headers encodes message headers for keeping: readable, bounded, and without
// the values of those that look like credentials.
func Headers(headers map[string][]string) (json.RawMessage, error) {
	names := slices.Sorted(maps.Keys(headers))
	kept := make(map[string][]string, min(len(names), maxHeaders))
	for _, name := range names[:min(len(names), maxHeaders)] {
		key := Text(name, maxHeaderValue)
		for _, value := range headers[name] {
			if len(kept[key]) == maxHeaders {
				break
			}
			kept[key] = append(kept[key], readable(name, value))
		}
	}
	out, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode headers: %w", err)
	}
	return out, nil
}

func readable(name, value string) string {
	lower := strings.ToLower(name)
	for _, word := range secretWords() {
		if strings.Contains(lower, word) {
			return "[removed]"
		}
	}
	return Text(value, maxHeaderValue)
}
