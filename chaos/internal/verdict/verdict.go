// Package verdict says what is wrong with an answer, whatever the request was.
package verdict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"nexus.internal/chaos/internal/exchange"
	"nexus.internal/chaos/internal/hostile"
)

const (
	// soon bounds an answer that waits for nothing, on a busy machine.
	soon = 15 * time.Second
	// mostDetail bounds what an error says, in bytes.
	mostDetail = 4 << 10
)

// tellTales are words that only a library, a database or Go itself would say.
// Nothing that is sent holds them.
func tellTales() []string {
	return []string{
		"strconv.", "unmarshal", "fasthttp", "pq:", "sqlstate", "goroutine ", "nats:", "pgx", "runtime error", "invalid memory", "nil pointer", "json:", "jsonschema", "context deadline",
		"context canceled", "syntax error at", "violates", "connection refused", "broken pipe", "unexpected eof", "i/o timeout", "zlib:", "gzip:", "flate:", "invalid character '", "cannot parse",
		"looking for beginning", "huma.", "reflect.", "interface {}", "math/big", ".go:", "time: ", "parsing time", "proxyconnect", "dial tcp", "lookup ", "no such host", "url.parse", "parse \"", "main.",
	}
}

// Judge holds what must never be told.
type Judge struct{ secrets []string }

// New judges answers that must not hold secrets.
func New(secrets ...string) Judge { return Judge{secrets} }

// Problems says what is wrong with the answers to a request.
func (j Judge) Problems(r hostile.Request, answers []exchange.Answer, err error, took time.Duration) []string {
	var out []string
	if err != nil && !r.Large {
		out = append(out, "no whole answer: "+err.Error())
	}
	if took > soon && !r.Waits && !r.Broken && !r.Endless {
		out = append(out, fmt.Sprintf("the answer took %s", took.Round(time.Millisecond)))
	}
	for _, a := range answers {
		out = append(out, j.answer(r, a)...)
	}
	return out
}

func (j Judge) answer(r hostile.Request, a exchange.Answer) []string {
	var out []string
	if a.Status >= http.StatusInternalServerError && !Waiting(a) {
		out = append(out, fmt.Sprintf("%d is no answer to a client: %s", a.Status, Short(a.Body)))
	}
	if a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
		out = append(out, "503 without Retry-After")
	}
	for _, secret := range j.secrets {
		if bytes.Contains(a.Body, []byte(secret)) || holds(a.Header, secret) {
			out = append(out, fmt.Sprintf("the answer (%d) quotes a credential", a.Status))
			break
		}
	}
	if a.Header.Get("X-Request-Id") == "" {
		out = append(out, fmt.Sprintf("the answer (%d) has no X-Request-ID", a.Status))
	}
	if a.Status >= http.StatusBadRequest {
		return append(out, problem(r, a)...)
	}
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") && len(a.Body) > 0 && !json.Valid(a.Body) {
		out = append(out, "the answer is no JSON: "+Short(a.Body))
	}
	return out
}

// Waiting reports whether an answer says that the client should come back.
func Waiting(a exchange.Answer) bool {
	return a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != ""
}

func holds(h http.Header, secret string) bool {
	for _, values := range h {
		if strings.Contains(strings.Join(values, "\n"), secret) {
			return true
		}
	}
	return false
}

// problem looks at an error: it is RFC 9457, says something, and says nothing
// that only the inside knows.
func problem(r hostile.Request, a exchange.Answer) []string {
	if len(a.Body) == 0 && r.Method == http.MethodHead {
		return nil
	}
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
		RequestID                 string `json:"request_id"`
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return []string{fmt.Sprintf("the error (%d) is no JSON: %s", a.Status, Short(a.Body))}
	}
	var out []string
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		out = append(out, fmt.Sprintf("the error (%d) has the type %q", a.Status, kind))
	}
	if p.Status != a.Status || p.Code == "" || p.Detail == "" || p.Title == "" || p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") {
		out = append(out, fmt.Sprintf("the error (%d) lacks a part: %s", a.Status, Short(a.Body)))
	}
	if len(a.Body) > mostDetail {
		out = append(out, fmt.Sprintf("the error (%d) has %d bytes: %s", a.Status, len(a.Body), Short(a.Body)))
	}
	said := strings.ToLower(string(a.Body))
	for _, word := range tellTales() {
		if strings.Contains(said, word) {
			return append(out, fmt.Sprintf("the error (%d) speaks of '%s': %s", a.Status, word, Short(a.Body)))
		}
	}
	return out
}

// Short is the beginning of a text, for a line of a report.
func Short(text []byte) string {
	const most = 400
	if len(text) > most {
		return fmt.Sprintf("%q… (%d bytes)", text[:most], len(text))
	}
	return fmt.Sprintf("%q", text)
}
