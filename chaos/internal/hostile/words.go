package hostile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"nexus.internal/chaos/internal/openapi"
)

// wrongNumber is a number at an edge, or hardly one.
func (s *Source) wrongNumber() string {
	if s.one(40) {
		return pick(s, []string{"", "-", "0."}) + strings.Repeat(strconv.Itoa(1+s.IntN(9)), 1+s.IntN(100_000))
	}
	if s.one(4) {
		return fmt.Sprintf("%s%d.%de%s%d", pick(s, []string{"", "-"}), s.IntN(10), s.IntN(100), pick(s, []string{"", "-", "+"}), s.Uint64()>>s.IntN(64))
	}
	return pick(s, []string{
		"0", "-0", "-1", "1.5", "0.1", "1e2", "1e400", "1e-400", "-1e400", "1e1000001", "1e-1000001", "1e-1000000", "1E+999999999999", "1e-99999999999999999999",
		"0e1000001", "0e-1000001", "127", "128", "255", "256", "32768", "65536", "2147483647", "2147483648", "-2147483649", "4294967296", "9007199254740993",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "1.7976931348623157e308",
		"4.9e-324", "1e19", "1.0", "100000000000000000000", "01", "+1", ".5", "1.", "1e", "0x10", "1_000", "--1", "1e5.5", "٣",
	})
}

// wrongText is a string that somebody may stumble over.
func (s *Source) wrongText() string {
	if s.one(25) {
		return strings.Repeat(pick(s, []string{"a", "é", "😀", "\x00", "\"", "\\", "%", "\u0301"}), 1+s.IntN(20_000))
	}
	return pick(s, []string{
		"", " ", "\x00", "a\x00b", "\n", "a\r\nX-Evil: 1", "\t", "\x1b[31m", "\x7f", "\u0085", "\u2028", "\u202e", "\ufeff", "\ufffd", "\xff", "\xc3\x28",
		"'", "\"", "\\", "`", "';drop table jobs.jobs;--", "' or '1'='1", "%s%n%d", "%00", "${x}", "{{.}}", "<script>alert(1)</script>", "../../etc/passwd", "/etc/passwd",
		"..", ".", "*", ">", "a.b.c", "$JS.API.>", "$SYS", "_INBOX.x", "nexus", "null", "true", "NaN", "-1", "1e400", "é", "e\u0301", "ß", "İ", "ｊｏｂ", "😀",
		"dev-operator", "dev-admin", "noop", "NOOP", "job_type", "__proto__", "constructor",
	})
}

// wrongTime is a time at an edge, or hardly one.
func (s *Source) wrongTime() string {
	if s.one(6) {
		return time.Unix(int64(s.Uint64()>>(20+s.IntN(44))), s.Int64N(1e9)).UTC().Format(time.RFC3339Nano)
	}
	return pick(s, []string{
		"0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z", "0000-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-23:59",
		"9999-12-31T23:59:59.999999999Z", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1582-10-10T00:00:00Z", "2024-02-30T00:00:00Z",
		"2026-02-29T00:00:00Z", "2016-12-31T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00-99:99", "2026-01-01t00:00:00z",
		"2026-01-01 00:00:00Z", "2026-01-01T00:00:00", "2026-01-01", "2026-01-01T00:00:00." + strings.Repeat("9", 400) + "Z", "292277026596-12-04T15:30:08Z", "-4713-11-24T00:00:00Z",
		"0", "1700000000", "infinity", "-infinity", "now", "epoch", "",
	})
}

// URLs lead to nobody: reserved names, and addresses of this machine and of
// documentation.
func (s *Source) address() string {
	return pick(s, []string{
		"http://hook.invalid/x", "https://hook.invalid", "http://127.0.0.1:1/", "http://[::1]/", "http://localhost/", "http://10.0.0.1/", "http://169.254.169.254/latest", "http://0/",
		"http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://192.0.2.1/", "http://127.0.0.1.",
		"http://user:secret@hook.invalid/", "http://hook.invalid:99999/", "http://hook.invalid:0/", "http://hook.invalid/#x", "http://hook%2einvalid/", "http:///x", "http://", "//hook.invalid",
		"ftp://hook.invalid/", "file:///etc/passwd", "gopher://127.0.0.1:1/", "javascript:alert(1)", "http://hook.invalid/\x00", "http://hook.invalid/ x", "http://[::1%25lo]/", "http://[", "HTTP://HOOK.INVALID/",
		"http://" + strings.Repeat("a", 300) + ".invalid/", "http://hook.invalid/" + strings.Repeat("a", 2100), "http://xn--.invalid/", "http://höök.invalid/", "http://hook.invalid/?q=\xff",
	})
}

// word is a string for a field, right for its name more often than not.
func (s *Source) word(name string, schema *openapi.Schema) string {
	switch {
	case name == "url":
		return s.address()
	case s.one(12):
		return s.wrongText()
	case schema.Format == "uuid":
		return s.id("job_id")
	case schema.Format == "date-time":
		if s.one(2) {
			return s.wrongTime()
		}
		return time.Date(2020+s.IntN(12), time.Month(1+s.IntN(12)), 1+s.IntN(28), s.IntN(24), 0, 0, 0, time.UTC).Format(time.RFC3339)
	}
	switch name {
	case "job_type":
		return s.jobType()
	case "name", "queue":
		return pick(s, []string{"t", "u", "fuzz-" + strconv.Itoa(s.IntN(20))})
	case "owner", "created_by", "actor":
		return pick(s, []string{"dev-operator", "dev-viewer", "ann", "bob" + strconv.Itoa(s.IntN(30))})
	case "tags", "tag":
		return pick(s, []string{"a", "b:c", "x/y", "k=v"})
	case "events":
		return pick(s, []string{"job.succeeded", "job.failed", "*", "job.queued", "job.x"})
	case "idempotency_key":
		return "key-" + strconv.Itoa(s.IntN(50))
	case "secret":
		return "whsec-0123456789abcdef"
	case "cursor", "last_event_id", "Last-Event-ID":
		if seen, ok := s.seen.any(s.Rand, "next_cursor"); ok && s.one(2) {
			return seen
		}
		return pick(s, []string{"MQ", "1", "1-1", "0-0", "18446744073709551616-1", "eyJ9", "AAAA", "====", "-1", "9223372036854775807", "1.1", "2026-01-01T00:00:00Z,x"})
	}
	return pick(s, []string{"x", "word", "a-b", "A_1"})
}

// jobType is a type that exists, most of the time. Few run for long.
func (s *Source) jobType() string {
	if made, ok := s.seen.any(s.Rand, "job type"); ok && s.one(4) {
		return made
	}
	if s.one(8) {
		return pick(s, []string{"integrity_audit", "ingest_batch", "analyze", "branch_replay", "t", "u", "unknown"})
	}
	return "noop"
}

// id is one that was seen, one that nobody has, or none at all.
func (s *Source) id(kinds ...string) string {
	if s.one(8) {
		return pick(s, []string{"does-not-exist", "0", "-1", "1", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", strings.ToUpper(s.uuid()), "{" + s.uuid() + "}", "urn:uuid:" + s.uuid(), s.wrongText()})
	}
	if seen, ok := s.seen.any(s.Rand, pick(s, kinds)); ok && !s.one(5) {
		return seen
	}
	return s.uuid()
}
