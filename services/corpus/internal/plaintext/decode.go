package plaintext

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

const replacement = "\uFFFD"

// Decode turns the bytes of a text file into text: UTF-8, without a byte order
// mark, every line ended by a single "\n". UTF-16 is known by its mark. Bytes that
// are not valid UTF-8, and NUL bytes (which no text holds), are replaced, and
// repairs says in words how many. What is a file of another kind, and not text with
// some bad bytes in it, is an error.
func Decode(data []byte) (text, repairs string, err error) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		decoded, err := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data)
		if err != nil {
			return "", "", errors.New("is not text: it begins like UTF-16 and is not")
		}
		data = decoded
	}
	nuls, invalid := bytes.Count(data, []byte{0}), invalidBytes(data)
	if nuls+invalid > 0 {
		if kind := foreign(data); kind != "" {
			return "", "", fmt.Errorf("is not text: its content is %s", kind)
		}
		data = bytes.ReplaceAll(bytes.ToValidUTF8(data, []byte(replacement)), []byte{0}, []byte(replacement))
		repairs = repairsOf(nuls, invalid)
	}
	text = strings.TrimPrefix(string(data), "\uFEFF")
	if strings.Contains(text, "\r") {
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	}
	return text, repairs, nil
}

// foreign names the kind of a file that is known by its content and is no text;
// empty where nothing is known.
func foreign(data []byte) string {
	switch kind := http.DetectContentType(data); {
	case strings.HasPrefix(kind, "text/"), kind == "application/octet-stream",
		kind == "image/bmp": // two letters, that many words begin with
		return ""
	default:
		return kind
	}
}

func invalidBytes(data []byte) int {
	if utf8.Valid(data) {
		return 0
	}
	count := 0
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			count++
		}
		data = data[size:]
	}
	return count
}

func repairsOf(nuls, invalid int) string {
	var parts []string
	if nuls > 0 {
		parts = append(parts, fmt.Sprintf("NUL bytes: %d", nuls))
	}
	if invalid > 0 {
		parts = append(parts, fmt.Sprintf("bytes that are not valid UTF-8: %d", invalid))
	}
	return strings.Join(parts, ", ") + "; they were replaced"
}
