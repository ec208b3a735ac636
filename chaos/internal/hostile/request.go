package hostile

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"nexus.internal/chaos/internal/openapi"
)

// Request is one exchange at the REST door.
type Request struct {
	// What says in a few words what it is about.
	What string
	// Method decides whether the answer has a body.
	Method string
	// Bytes are what is sent.
	Bytes []byte
	// Broken says that these bytes are not HTTP, or more than one request: no
	// answer at all is one, too.
	Broken bool
	// Endless says that the answer is a stream without an end.
	Endless bool
	// Waits says that the answer waits for a job.
	Waits bool
	// Large says that the server may cut the connection before it has read all.
	Large bool
}

// Caller is who a request is made by.
type Caller struct{ Role, Key string }

// header is one line of a head; names and values are sent as they are.
type header struct{ name, value string }

// Request makes a request of an operation.
func (s *Source) Request(op openapi.Operation, callers []Caller) Request {
	r := Request{Method: op.Method, What: op.ID}
	target, query := s.path(op), s.query(op)
	if s.one(60) {
		r.Method = pick(s, []string{"HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PUT", "DELETE", "GET", "POST", "get", "PROPFIND", "X"})
	}
	if op.Method == http.MethodGet && s.one(15) {
		r.Method = "HEAD"
	}
	if query != "" {
		target += "?" + query
	}
	lines := append(s.credentials(callers), s.oddHeaders()...)
	var body []byte
	if op.Body != nil || s.one(40) {
		schema := op.Body
		if schema == nil {
			schema = &openapi.Schema{}
		}
		body = s.JSON(schema)
		if s.one(400) {
			body = s.large()
		}
		lines = append(lines, header{"Content-Type", s.contentType()})
	}
	r.Large = len(body) > 512<<10
	r.Endless = strings.HasSuffix(op.Path, "/events") && r.Method == http.MethodGet
	// These two wait for a job without being asked to.
	r.Waits = bytes.Contains(body, []byte("sync")) || op.Path == "/api/v1/ingest/batch" || op.Path == "/api/v1/analyze"
	body, encoding := s.encoding(body)
	lines = append(lines, encoding...)
	body, framing, broken := s.framing(r.Method, body)
	r.Broken = broken
	r.Bytes = message(r.Method, target, append(lines, framing...), body)
	return r
}

func message(method, target string, lines []header, body []byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, target)
	for _, h := range lines {
		fmt.Fprintf(&out, "%s: %s\r\n", h.name, h.value)
	}
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}

// kinds are the fields that hold an id for a path.
func kinds(path string) []string {
	switch {
	case strings.Contains(path, "/keys/"):
		return []string{"api_key_id"}
	case strings.Contains(path, "/webhooks/"):
		return []string{"webhook_id"}
	case strings.Contains(path, "/dead-letters/"):
		return []string{"dead letter"}
	case strings.Contains(path, "/ingest/"):
		return []string{"ingest_job_id"}
	case strings.Contains(path, "/analysis/"):
		return []string{"analysis_run_id"}
	case strings.Contains(path, "/documents/"):
		return []string{"document_id"}
	default:
		return []string{"job_id"}
	}
}

func (s *Source) path(op openapi.Operation) string {
	out := op.Path
	for _, p := range op.Parameters {
		if p.In != "path" {
			continue
		}
		value := ""
		switch {
		case p.Name == "name" && strings.Contains(op.Path, "job-types"):
			value = s.jobType()
		case p.Name == "name":
			value = pick(s, []string{"corpus", "plugins", "bench", "u", "shadow_execution", "raw_mode", "x"})
		case p.Name == "delivery":
			value = s.id("delivery_id")
		default:
			value = s.id(kinds(op.Path)...)
		}
		value = url.PathEscape(value)
		if s.one(60) {
			value = pick(s, []string{"%", "%zz", "%00", "%2e%2e", "%2f", "a%2fb", "..", "%ff", "%c0%80", "é", "\x80", ";a=b", strings.Repeat("a", 9000)})
		}
		out = strings.ReplaceAll(out, "{"+p.Name+"}", value)
	}
	if s.one(80) {
		out = pick(s, []string{"/" + out, out + "/", strings.ToUpper(out), strings.ReplaceAll(out, "/", "//"), out + "%20", out + "/..", "/./" + out, "http://127.0.0.1" + out, "*", "/%2e%2e" + out, out + "?", out + "#x"})
	}
	return out
}

func (s *Source) query(op openapi.Operation) string {
	var out []string
	add := func(name, value string) { out = append(out, name+"="+value) }
	for _, p := range op.Parameters {
		if p.In != "query" || !s.one(3) {
			continue
		}
		value := s.queryValue(p)
		add(p.Name, url.QueryEscape(value))
		if s.one(30) {
			add(p.Name, url.QueryEscape(s.queryValue(p)))
		}
	}
	if s.one(40) {
		out = append(out, pick(s, []string{"%", "%zz=1", "a=%ff", "=", "&&&", "limit", "limit=", "limit[]=1", "limit[a]=1", "Limit=1", ";", "a=b=c", "\x80=\x80", strings.Repeat("a=1&", 2000), "?x", "limit=%31"}))
	}
	return strings.Join(out, "&")
}

func (s *Source) queryValue(p openapi.Parameter) string {
	schema := s.doc.Resolve(p.Schema)
	w := &writer{Source: s}
	switch {
	case s.one(8):
		return pick(s, []string{s.wrongText(), s.wrongNumber(), s.wrongTime()})
	case len(schema.Enum) > 0:
		return fmt.Sprint(pick(s, schema.Enum))
	case w.has(schema, "integer"), w.has(schema, "number"):
		w.number(schema)
		return w.String()
	case w.has(schema, "boolean"):
		return pick(s, []string{"true", "false", "1", "TRUE", "yes"})
	default:
		return s.word(p.Name, schema)
	}
}

// credentials say who it is: somebody known, most of the time.
func (s *Source) credentials(callers []Caller) []header {
	caller := pick(s, callers)
	if caller.Role != "admin" && s.one(3) {
		caller = callers[len(callers)-1]
	}
	switch s.IntN(60) {
	case 0:
		return nil
	case 1:
		return []header{{"X-Nexus-API-Key", "wrong-" + strconv.Itoa(s.IntN(1000))}}
	case 2:
		return []header{{"Authorization", pick(s, []string{"Bearer", "Bearer ", "bearer x", "Basic eDp5", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "Bearer " + strings.Repeat("a", 5000), "\xff"})}}
	case 3:
		return []header{{"X-Nexus-API-Key", caller.Key}, {"X-Nexus-API-Key", "another"}}
	case 4:
		return []header{{"Authorization", "Bearer x"}, {"x-nexus-api-key", caller.Key}}
	case 5:
		return []header{{"Authorization", "Bearer " + caller.Key}}
	default:
		return []header{{"X-Nexus-API-Key", caller.Key}}
	}
}

func (s *Source) contentType() string {
	if !s.one(25) {
		return "application/json"
	}
	return pick(s, []string{"", "text/plain", "application/json; charset=utf-16", "application/json;", "APPLICATION/JSON", "application/cbor", "multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/problem+json", "*/*", "\xff", ";;;", "application/vnd.x+json"})
}

// oddHeaders are headers that mean something to somebody.
func (s *Source) oddHeaders() []header {
	if !s.one(6) {
		return nil
	}
	return []header{pick(s, []header{
		{"X-Request-ID", strings.Repeat("a", 127+s.IntN(3))},
		{"X-Request-ID", "a b"},
		{"X-Request-ID", "é"},
		{"X-Request-ID", "ok-1"},
		{"X-Request-ID", "\"}"},
		{"Accept", "application/cbor"},
		{"Accept", "text/html"},
		{"Accept", ";q=,,"},
		{"Accept", "*/*;q=-1"},
		{"Accept-Encoding", "gzip, br, zstd"},
		{"Accept-Encoding", "*;q=0"},
		{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{"Traceparent", "00-00-00-00"},
		{"Traceparent", strings.Repeat("f", 500)},
		{"Tracestate", strings.Repeat("a=b,", 300)},
		{"Baggage", strings.Repeat("a=b,", 300)},
		{"Last-Event-ID", s.word("last_event_id", &openapi.Schema{})},
		{"Range", "bytes=0-0,5-"},
		{"If-None-Match", "*"},
		{"If-Modified-Since", "x"},
		{"Expect", "100-continue"},
		{"Expect", "x"},
		{"X-Forwarded-For", "8.8.8.8, \xff"},
		{"X-Forwarded-Host", "evil.invalid"},
		{"X-HTTP-Method-Override", "DELETE"},
		{"Connection", "Upgrade"},
		{"Upgrade", "h2c"},
		{"Upgrade", "websocket"},
		{"TE", "trailers"},
		{"Origin", "http://evil.invalid"},
		{"Cookie", strings.Repeat("a=b; ", 500)},
		{"Cookie", strings.Repeat("a=b; ", 8000)},
		{"Referer", "javascript:x"},
		{"Content-Language", "\x80"},
		{"Content-Type", "text/plain"},
		{"Host", "evil.invalid"},
		{"Content-Location", "/"},
		{"Transfer-Encoding", "identity"},
		{"Prefer", "wait=100000"},
		{"If-Match", "\""},
		{strings.Repeat("X", 3000), "1"},
		{"X-Empty", ""},
	})}
}
