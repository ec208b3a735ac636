package atom

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// FileNameSchema is the version of the scheme that FileName follows. Names of
// one version never change for the same document and atom.
const FileNameSchema = "ab01-v1"

// The longest parts of a file name, in bytes.
const (
	maxDocumentPart = 48
	maxTokenPart    = 32
)

// FileName returns the name under which an atom is kept as a file of its own:
//
//	DOCUMENT_LEVEL_000001_token.txt
//	DOCUMENT_LEVEL_000007_token_d02.txt
//
// The document part comes from the name of the document's file without its
// extension. Both it and the token hold only ASCII letters, digits and hyphens,
// so that the parts can be told apart and every file system takes the name;
// `_d02` marks the second atom of the level with the same token. The ordinal is
// six digits, more when it needs them.
func FileName(documentPath string, a Atom) string {
	base := filepath.Base(documentPath)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	duplicate := ""
	if a.Occurrence > 1 {
		duplicate = fmt.Sprintf("_d%02d", a.Occurrence)
	}
	return fmt.Sprintf("%s_%s_%06d_%s%s.txt",
		strings.ToUpper(fileSafe(stem, maxDocumentPart)),
		strings.ToUpper(string(a.Level)), a.Ordinal, FileToken(a.Content), duplicate)
}

// TokenRunes is how much of an atom's content, in characters, its file token is
// made of.
const TokenRunes = 200

// FileToken returns the token part of an atom's file name: at most 32 small
// letters, digits and hyphens. Marks are taken off letters and other characters
// become a hyphen; content with nothing left is written as code points, so that
// "?!" is "u003f-u0021".
func FileToken(content string) string {
	if len(content) > TokenRunes {
		content = FirstRunes(content, TokenRunes)
	}
	return fileSafe(content, maxTokenPart)
}

// FirstRunes returns the first count characters of s.
func FirstRunes(s string, count int) string {
	for i := range s {
		if count == 0 {
			return s[:i]
		}
		count--
	}
	return s
}

func fileSafe(s string, limit int) string {
	if safe := asciiWords(s, limit); safe != "" {
		return safe
	}
	return codePoints(s, limit)
}

// asciiWords keeps ASCII letters and digits and joins what they leave of s with
// single hyphens.
func asciiWords(s string, limit int) string {
	out := make([]byte, 0, min(limit, len(s)))
	gap := false
	for i := 0; i < len(s) && len(out) < limit; {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		if r >= utf8.RuneSelf {
			if unicode.IsMark(r) {
				continue
			}
			r = compatibleLetter(r)
		}
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		default:
			gap = true
			continue
		}
		if gap && len(out) > 0 {
			out = append(out, '-')
		}
		gap = false
		out = append(out, byte(r))
	}
	return strings.TrimSuffix(string(out[:min(len(out), limit)]), "-")
}

// compatibleLetter is baseLetter over compatibility decompositions, which also
// turns the ligature ﬁ into f.
func compatibleLetter(r rune) rune {
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], r)
	decomposition := norm.NFKD.Properties(buf[:n]).Decomposition()
	if len(decomposition) == 0 {
		return r
	}
	base, _ := utf8.DecodeRune(decomposition)
	return base
}

func codePoints(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		part := fmt.Sprintf("u%04x", r)
		if b.Len() > 0 {
			part = "-" + part
		}
		if b.Len()+len(part) > limit {
			break
		}
		b.WriteString(part)
	}
	if b.Len() == 0 {
		return "empty"
	}
	return b.String()
}
