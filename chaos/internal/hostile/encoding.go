package hostile

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"strconv"
	"strings"
)

// inflated is how much a bomb holds, in bytes.
const inflated = 256 << 20

// makeBombs makes a few hundred bytes that inflate, by way of 256 kB, to 256 MiB.
func makeBombs() (once, twice []byte) {
	// Members one after the other are one stream, and cost no time to make.
	once = bytes.Repeat(zipped(bytes.Repeat([]byte(" "), 1<<20)), inflated>>20)
	return once, packed(func(w *gzip.Writer) { _, _ = w.Write(once) })
}

func packed(write func(*gzip.Writer)) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	write(w)
	_ = w.Close()
	return out.Bytes()
}

func zipped(body []byte) []byte { return packed(func(w *gzip.Writer) { _, _ = w.Write(body) }) }

func deflated(body []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}

// encoding packs a body, seldom, as it says or otherwise.
func (s *Source) encoding(body []byte) ([]byte, []header) {
	if !s.one(15) || len(body) == 0 {
		return body, nil
	}
	says := func(as string) []header { return []header{{"Content-Encoding", as}} }
	switch s.IntN(12) {
	case 0:
		return zipped(body), says("gzip")
	case 1:
		return zipped(zipped(body)), says("gzip, gzip")
	case 2:
		return body, says(pick(s, []string{"gzip", "br", "zstd", "deflate", "compress", "x-gzip", "identity", "aws-chunked", "gzip,gzip,gzip,gzip", ",", "\xff", "GZIP"}))
	case 3:
		packed := zipped(body)
		return packed[:len(packed)-1-s.IntN(8)], says("gzip")
	case 4:
		packed := zipped(body)
		packed[s.IntN(len(packed))] ^= 0xff
		return packed, says("gzip")
	case 5:
		return deflated(body), says("deflate")
	case 6:
		return append(zipped(body), "trailing"...), says("gzip")
	case 7:
		return append(zipped(body), zipped(body)...), says("gzip")
	case 8:
		_, twice := s.bombs()
		return twice, says("gzip, gzip")
	case 9:
		once, _ := s.bombs()
		return once, says("gzip")
	case 10:
		return zipped(body), []header{{"Content-Encoding", "gzip"}, {"Content-Encoding", "gzip"}}
	default:
		return deflated(body), says("gzip")
	}
}

// large is a body at the limits.
func (s *Source) large() []byte {
	size := pick(s, []int{1<<20 - 100, 1<<20 + 100, 2 << 20, 9 << 20})
	filler := pick(s, []string{"a", "0,", "[],", `{"a":1},`, "\\u0000"})
	switch filler {
	case "a", "\\u0000":
		return []byte(`{"job_type":"noop","payload":{"a":"` + strings.Repeat(filler, size/len(filler)) + `"}}`)
	default:
		return []byte(`{"job_type":"noop","payload":{"a":[` + strings.TrimSuffix(strings.Repeat(filler, size/len(filler)), ",") + `]}}`)
	}
}

// framing says where the body ends: truly, most of the time.
func (s *Source) framing(method string, body []byte) (sent []byte, lines []header, broken bool) {
	length := func(n int) []header { return []header{{"Content-Length", strconv.Itoa(n)}} }
	if len(body) == 0 {
		if method == "POST" || method == "PUT" || method == "PATCH" || s.one(10) {
			return nil, length(0), false
		}
		return nil, nil, false
	}
	switch s.IntN(80) {
	case 0, 1, 2, 3:
		return s.chunked(body), []header{{"Transfer-Encoding", "chunked"}}, false
	case 4:
		// The rest never comes.
		return body, length(len(body) + 1 + s.IntN(1000)), true
	case 5:
		// What is behind it looks like another request.
		return body, length(s.IntN(len(body))), true
	case 6:
		return s.chunked(body), []header{{"Transfer-Encoding", pick(s, []string{"chunked, chunked", "gzip, chunked", "xchunked", "\x0bchunked", "CHUNKED", "identity, chunked"})}}, true
	default:
		return body, length(len(body)), false
	}
}

func (s *Source) chunked(body []byte) []byte {
	var out bytes.Buffer
	for len(body) > 0 {
		n := 1 + s.IntN(min(len(body), 1<<16))
		if len(body) > 1<<20 {
			n = min(len(body), 1<<16)
		}
		fmt.Fprintf(&out, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	out.WriteString("0\r\n\r\n")
	return out.Bytes()
}

// Broken makes bytes that are not HTTP, or HTTP that two readers may read in two
// ways.
func (s *Source) Broken(callers []Caller) Request {
	key := "X-Nexus-API-Key: " + pick(s, callers).Key + "\r\nAuthorization: Bearer secret-of-nobody\r\n"
	body := `{"job_type":"noop"}`
	post := "POST /api/v1/jobs/submit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + key
	next := "GET /api/v1/auth/whoami HTTP/1.1\r\nHost: x\r\n" + key + "\r\n"
	get := "GET /api/v1/auth/whoami HTTP/1.1\r\nHost: x\r\n" + key
	control := string(rune(pick(s, []int{0, 1, 7, 8, 11, 12, 27, 127})))
	texts := []string{
		post + "Content-Length: 19\r\nContent-Length: 20\r\n\r\n" + body + next,
		post + "Content-Length: 19\r\nContent-Length: 19\r\n\r\n" + body + next,
		post + "Content-Length: 19, 19\r\n\r\n" + body + next,
		post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next,
		post + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n13\r\n" + body + "\r\n0\r\n\r\n" + next,
		post + "Transfer-Encoding: chunked\r\n\r\n" + pick(s, []string{"ffffffffffffffff\r\n", "-1\r\n", "zz\r\n", "13;x=" + strings.Repeat("y", 9000) + "\r\n" + body + "\r\n0\r\n\r\n", "13\r\n" + body + "0\r\n\r\n", "0\r\nX: y\r\n\r\n", "1\n{\n", "\r\n"}) + next,
		post + "Content-Length: " + pick(s, []string{"-1", "+19", "19 ", "0x13", "1e1", "99999999999999999999", "9223372036854775807", "", "１９"}) + "\r\n\r\n" + body,
		get + "X-Odd: a" + control + "b\r\n\r\n" + next,
		get + "X-O" + control + "dd: ab\r\n\r\n" + next,
		get + "X-Odd : a\r\n\r\n" + next,
		get + " folded: a\r\n\r\n" + next,
		get + "X-Odd: a\r\n folded\r\n\r\n" + next,
		get + "no colon here\r\n\r\n" + next,
		get + ": empty\r\n\r\n" + next,
		get + "X-Odd: a\n\n" + next,
		get + "X-Odd: a\r\r\n\r\n" + next,
		get + strings.Repeat("X-Many: 1\r\n", 3000) + "\r\n",
		get + "X-Long: " + strings.Repeat("a", 70_000) + "\r\n\r\n",
		"GET /" + strings.Repeat("a", 70_000) + " HTTP/1.1\r\n" + key + "\r\n",
		"GET  /healthz  HTTP/1.1\r\n" + key + "\r\n", "GET /healthz\r\n", "GET /healthz HTTP/1.0\r\n\r\n", "GET /healthz HTTP/9.9\r\n" + key + "\r\n", "GET /healthz HTTP/1.1\r\n\r\n",
		"GET /health\x00z HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", "\r\n\r\n" + next, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00\x00\x00", "GET",
		"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + key + "\r\n", "GET http://[::1 HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", "GET /%zz%00 HTTP/1.1\r\nHost: x\r\n" + key + "\r\n",
		"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n" + key + "\r\n",
		next + next + "GARBAGE " + key + "\r\n\r\n" + next,
		strings.Repeat(next, 30),
		post + "Expect: 100-continue\r\nContent-Length: 19\r\n\r\n" + body,
	}
	text := []byte(pick(s, texts))
	if s.one(10) {
		for range 1 + s.IntN(3) {
			text[s.IntN(len(text))] = byte(s.Uint32())
		}
	}
	return Request{What: "broken HTTP", Method: "GET", Bytes: text, Broken: true, Large: len(text) > 16<<10}
}
