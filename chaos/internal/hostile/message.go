package hostile

import (
	"strconv"
	"strings"

	"nexus.internal/chaos/internal/openapi"
)

// Message is one message to the NATS door.
type Message struct {
	Subject string
	Header  map[string][]string
	Body    []byte
	// RequestID is the message's own; empty where it was made wrong on purpose.
	RequestID string
}

// Message makes a message of an owner. submit is the schema of a submit.
func (s *Source) Message(owner, requestID string, submit *openapi.Schema) Message {
	m := Message{Subject: "nexus.submit." + owner + "." + s.subjectEnd(), Header: map[string][]string{}}
	if s.one(20) {
		m.Header["Nexus-Request-Id"] = []string{pick(s, []string{"a b", strings.Repeat("a", 200), "é", "\x01", ""})}
	} else {
		m.RequestID = requestID
		m.Header["Nexus-Request-Id"] = []string{requestID}
	}
	switch s.IntN(15) {
	case 0:
		m.Header["Nats-Msg-Id"] = []string{"same"}
	case 1:
		m.Header["Traceparent"] = []string{pick(s, []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x", strings.Repeat("f", 3000)})}
	case 2:
		m.Header["Content-Encoding"] = []string{"gzip"}
	case 3:
		m.Header[pick(s, []string{"Nexus-Type", "Nexus-Reason", "Nexus-Origin", "Nexus-Id", "Nexus-Time", "Status", "X"})] = []string{s.wrongHeader(), "second"}
	case 4:
		m.Header["Nats-TTL"] = []string{pick(s, []string{"1s", "-1", "never", "x"})}
	case 5:
		m.Header["Nats-Rollup"] = []string{pick(s, []string{"all", "sub"})}
	case 6:
		m.Header[pick(s, []string{"Nats-Expected-Stream", "Nats-Expected-Last-Sequence", "Nats-Schedule", "Nats-Incr", "Nats-Batch-Id"})] = []string{pick(s, []string{"1", "x", "@every 1s"})}
	}
	m.Body = s.JSON(submit)
	switch {
	case s.one(60):
		m.Body = []byte(s.wrongValue())
	case s.one(800):
		m.Body = s.large()[:900<<10]
	}
	return m
}

func (s *Source) wrongHeader() string {
	return strings.NewReplacer("\r", "", "\n", "").Replace(s.wrongText())
}

// subjectEnd is what follows the owner: the type of the job, or too little, or
// too much. Spaces and stars never reach a server: clients refuse them.
func (s *Source) subjectEnd() string {
	if !s.one(8) {
		return s.token(s.jobType())
	}
	return pick(s, []string{"a.b.c", "noop.x", strings.Repeat("a.", 30) + "a", strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("x", 3000), "NOOP", "é", "\x01", "a-b", "_", "-", "$x", "a%b", "'", "\"", "\\", "{}", "noop-" + strconv.Itoa(s.IntN(5)), "\xff"})
}

// token keeps what would end or widen a subject out of it.
func (s *Source) token(word string) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r == '.' || r == '*' || r == '>' {
			return '_'
		}
		return r
	}, word)
	if clean == "" || len(clean) > 2000 {
		return "x"
	}
	return clean
}
