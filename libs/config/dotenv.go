package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/joho/godotenv"
)

const (
	// maxDotEnv is the largest .env file read, in bytes.
	maxDotEnv = 1 << 20
	// maxValueLines is how many lines a quoted value may have.
	maxValueLines = 100
	// maxBadLines is how many bad lines are told of.
	maxBadLines = 10
)

// readDotEnv reads a .env file: lines of NAME=value, the last one of a name
// counting. No error shows what a line holds, which may be a secret.
func readDotEnv(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(file, maxDotEnv+1))
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxDotEnv {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes", path, maxDotEnv)
	}
	// Some editors begin a file with a mark of its encoding.
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if problems := checkLines(string(text)); len(problems) > 0 {
		return nil, fmt.Errorf("read %s: %s", path, strings.Join(problems, "; "))
	}
	out, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: want lines of the form NAME=value", path)
	}
	return out, nil
}

// checkLines says which lines cannot be read, by their numbers alone.
func checkLines(text string) []string {
	lines := strings.Split(text, "\n")
	var problems []string
	known := map[string]bool{}
	for at := 0; at < len(lines) && len(problems) < maxBadLines; {
		n, problem := checkStatement(lines[at:], known)
		if problem != "" {
			problems = append(problems, fmt.Sprintf("line %d %s", at+1, problem))
		}
		at += n
	}
	return problems
}

// checkStatement checks the one that lines begin with, which has more than one
// line when a quoted value does, and returns how many it has.
func checkStatement(lines []string, known map[string]bool) (n int, problem string) {
	for n = 1; n <= min(len(lines), maxValueLines); n++ {
		statement := strings.Join(lines[:n], "\n")
		if !utf8.ValidString(statement) || strings.ContainsRune(statement, 0) {
			return 1, "is not text in UTF-8"
		}
		values, err := godotenv.Unmarshal(statement)
		if err != nil {
			continue
		}
		for name := range values {
			if !validName(name) {
				return 1, "is not of the form NAME=value"
			}
		}
		if losesDollars(statement, values, known) {
			return n, "has a $ that would stand for the value of a name which no line above sets: put the value into single quotes"
		}
		for name := range values {
			known[name] = true
		}
		return n, ""
	}
	return 1, "is not of the form NAME=value, or has a quote that does not end"
}

func validName(name string) bool {
	for i, c := range name {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

// losesDollars reports whether a value would lose a $ and what follows, because
// it looks like a name that has no value.
func losesDollars(statement string, values map[string]string, known map[string]bool) bool {
	if !strings.Contains(statement, "$") {
		return false
	}
	const standIn = "\uE000"
	plain, err := godotenv.Unmarshal(strings.ReplaceAll(statement, "$", standIn))
	if err != nil {
		return true
	}
	reference := regexp.MustCompile(`(\\)?` + standIn + `\(?\{?([A-Z0-9_]+)?`)
	for name, value := range plain {
		if strings.ReplaceAll(value, standIn, "$") == values[name] {
			continue
		}
		for _, found := range reference.FindAllStringSubmatch(value, -1) {
			escaped, other := found[1] != "", found[2]
			if !escaped && other != "" && !known[other] {
				return true
			}
		}
	}
	return false
}
