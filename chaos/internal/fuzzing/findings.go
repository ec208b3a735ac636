package fuzzing

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"unicode/utf8"
)

// Finding is something that was wrong.
type Finding struct {
	// Number is that of the request; zero for what is about all of them.
	Number        uint64
	What, Problem string
	// Bytes are what was sent.
	Bytes []byte
	// Count is how often the like was seen.
	Count int
	// Again are words that send the same again.
	Again string
}

// mostFindings bounds the kinds that are told apart.
const mostFindings = 60

// mostKind is how much of a problem tells its kind, in bytes.
const mostKind = 90

// findings gathers what is wrong, one of each kind.
type findings struct {
	dir, address string

	mu     sync.Mutex
	byKind map[string]*Finding
}

func newFindings(dir, address string) *findings {
	return &findings{dir: dir, address: address, byKind: map[string]*Finding{}}
}

var varying = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|\d+|"(?:[^"\\]|\\.){60,}"?`)

// add keeps the first finding of its kind, and counts the others.
func (f *findings) add(one Finding) {
	kind := varying.ReplaceAllString(one.Problem, "#")
	kind = kind[:min(len(kind), mostKind)]
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.byKind[kind]; known != nil {
		known.Count++
		return
	}
	if len(f.byKind) >= mostFindings {
		return
	}
	one.Count = 1
	if len(one.Bytes) > 0 {
		one.Again = f.again(one)
	}
	f.byKind[kind] = &one
}

// again is a curl line where curl can send the same, or else the bytes in a file
// and a line that sends them.
func (f *findings) again(one Finding) string {
	if line, ok := curl(f.address, one.Bytes); ok {
		return line
	}
	path := filepath.Join(f.dir, fmt.Sprintf("request-%d", one.Number))
	if err := os.WriteFile(path, one.Bytes, 0o600); err != nil {
		return fmt.Sprintf("%q", one.Bytes[:min(len(one.Bytes), 1000)])
	}
	host, port, _ := strings.Cut(f.address, ":")
	return fmt.Sprintf("nc %s %s < %s", host, port, path)
}

// mostCurl is the longest body of a curl line, in bytes.
const mostCurl = 1500

func curl(address string, request []byte) (string, bool) {
	head, body, ok := bytes.Cut(request, []byte("\r\n\r\n"))
	if !ok || len(request) > mostCurl || !utf8.Valid(request) || bytes.ContainsFunc(request, func(r rune) bool { return r < ' ' && r != '\r' && r != '\n' || r == 0x7f }) {
		return "", false
	}
	lines := strings.Split(string(head), "\r\n")
	words := strings.Split(lines[0], " ")
	if len(words) != 3 || words[2] != "HTTP/1.1" || !strings.HasPrefix(words[1], "/") {
		return "", false
	}
	var out strings.Builder
	fmt.Fprintf(&out, "curl -gi --path-as-is -X %s %s", words[0], shell("http://"+address+words[1]))
	if words[0] == "HEAD" {
		out.Reset()
		fmt.Fprintf(&out, "curl -gI --path-as-is %s", shell("http://"+address+words[1]))
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		switch strings.ToLower(name) {
		case "host", "content-length":
		case "transfer-encoding":
			return "", false
		default:
			if value == "" {
				line = name + ";"
			}
			out.WriteString(" -H " + shell(line))
		}
	}
	if len(body) > 0 {
		out.WriteString(" --data-binary " + shell(string(body)))
	}
	return out.String(), true
}

func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// all are the findings, in the order of their requests.
func (f *findings) all() []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Finding, 0, len(f.byKind))
	for _, one := range f.byKind {
		out = append(out, *one)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Number < out[j].Number || out[i].Number == out[j].Number && out[i].Problem < out[j].Problem
	})
	return out
}
