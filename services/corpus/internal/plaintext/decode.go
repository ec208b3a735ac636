package plaintext

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Decode turns the bytes of a text file into text: UTF-8, without a byte order
// mark, every line ended by a single "\n". Bytes that are not valid UTF-8, and
// a NUL byte (which Postgres cannot store in text), are an error that names
// the offset of the first one.
func Decode(data []byte) (string, error) {
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return "", fmt.Errorf("file contains a NUL byte at offset %d, so it is not plain text", at)
	}
	if !utf8.Valid(data) {
		return "", fmt.Errorf("file is not valid UTF-8 at offset %d", firstInvalid(data))
	}
	text := strings.TrimPrefix(string(data), "\uFEFF")
	if !strings.Contains(text, "\r") {
		return text, nil
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), nil
}

func firstInvalid(data []byte) int {
	offset := 0
	for offset < len(data) {
		r, size := utf8.DecodeRune(data[offset:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		offset += size
	}
	return offset
}
