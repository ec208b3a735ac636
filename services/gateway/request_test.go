package gateway_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

// HEAD tells of everything that GET would, and sends nothing of it.
func TestHeadIsGetWithoutABody(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	paths := []string{"/docs", "/openapi.json", "/api/v1/jobs/not-an-id", "/api/v1/jobs?limit=0"}
	for _, o := range operations() {
		if o.method == http.MethodGet {
			paths = append(paths, o.url())
		}
	}
	for _, path := range paths {
		get, head := c.send(http.MethodGet, path, ""), c.try(http.MethodHead, path, "")
		require.NoError(t, head.err, path)
		require.Equal(t, get.status, head.status, path)
		require.Equal(t, get.header.Get("Content-Type"), head.header.Get("Content-Type"), path)
		require.Empty(t, head.body, path)
		require.NotEmpty(t, head.header.Get(requestID), path)
		if stream := get.header.Get("Content-Type") == "text/event-stream" || strings.HasSuffix(path, "/export"); !stream {
			require.Len(t, get.body, number(t, cmp.Or(head.header.Get("Content-Length"), "0")), path)
		}
	}
	require.Equal(t, http.StatusUnauthorized, g.nobody().try(http.MethodHead, whoamiURL, "").status)
	require.Equal(t, http.StatusNotFound, g.nobody().try(http.MethodHead, "/nowhere", "").status)
	require.Equal(t, http.StatusMethodNotAllowed, c.try(http.MethodHead, "/api/v1/auth/token", "").status)
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// An event stream has no end; HEAD of one has, and holds no place among the
// streams of a key.
func TestHeadOfAnEventStreamEnds(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(func(c *gateway.Config) { c.SSEMaxPerKey = 1 }))
	conn := g.dial()
	in := bufio.NewReader(conn)
	for range 3 {
		for _, path := range []string{"/api/v1/events", "/api/v1/audit/logs/export"} {
			_, err := fmt.Fprintf(conn, "HEAD %s HTTP/1.1\r\nHost: x\r\nX-Nexus-API-Key: %s\r\n\r\n", path, keyOf(ownerOf(identity.Admin)))
			require.NoError(t, err)
			resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodHead})
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.NoError(t, resp.Body.Close())
		}
	}
	require.Zero(t, in.Buffered(), "nothing follows the headers")
}

// What a parser says of a request quotes it, and with it keys, tokens and even
// the request behind it.
func TestErrorsQuoteNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	secret := "X-Nexus-API-Key: hidden-key\r\nAuthorization: Bearer hidden-token\r\nX-Request-ID: mine\r\n"
	behind := "GET /hidden HTTP/1.1\r\nHost: hidden\r\n" + secret + "\r\n"
	for name, head := range map[string]string{
		"two lengths":        "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n" + secret,
		"control character":  "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Other: hid\x01den\r\n" + secret,
		"NUL":                "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Other: hid\x00den\r\n" + secret,
		"no colon":           "GET /healthz HTTP/1.1\r\nHost: x\r\nhidden\r\n" + secret,
		"space in a name":    "GET /healthz HTTP/1.1\r\nHost: x\r\nhid den: hidden\r\n" + secret,
		"negative length":    "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n" + secret,
		"length not a digit": "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nContent-Length: hidden\r\n" + secret,
		"length too long":    "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n" + secret,
		"length and chunks":  "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: hidden\r\n" + secret,
		"two transfers":      "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: hidden\r\n" + secret,
		"no version":         "GET /hidden\r\nHost: x\r\n" + secret,
		"unknown version":    "GET /hidden HTTP/hidden\r\nHost: x\r\n" + secret,
		"unknown method":     "HIDDEN /healthz HTTP/1.1\r\nHost: x\r\n" + secret,
		"method in lower":    "hidden /healthz HTTP/1.1\r\nHost: x\r\n" + secret,
		"bad host":           "GET /healthz HTTP/1.1\r\nHost: hid[den\r\n" + secret,
		"two hosts":          "GET /healthz HTTP/1.1\r\nHost: hidden1\r\nHost: hidden2\r\n" + secret,
		"bad target":         "GET http://hid[den/ HTTP/1.1\r\nHost: x\r\n" + secret,
		"bad escape":         "GET /hidden%zz HTTP/1.1\r\nHost: x\r\n" + secret,
		"folded header":      "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Other: a\r\n hidden\r\n" + secret,
		"head too large":     "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Other: " + strings.Repeat("hidden", 4000) + "\r\n" + secret,
		"path too long":      "GET /" + strings.Repeat("hidden", 4000) + " HTTP/1.1\r\nHost: x\r\n" + secret,
		"garbage":            "\x16\x03\x01hidden\r\n" + secret,
		"not in a chunk":     "POST " + whoamiURL + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + secret,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := g.dial()
			_, err := io.WriteString(conn, head+"\r\n"+behind)
			require.NoError(t, err)
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			r := reply{t: t, what: name}.read(resp).sound()
			all := fmt.Sprint(r.header) + string(r.body)
			require.NotContains(t, all, "hid", "it is quoted")
			require.Less(t, r.status, 500, "%s", r.body)
			if r.status >= http.StatusBadRequest {
				require.Less(t, len(r.problem().Detail), 100)
			}
		})
	}
}

// Bodies that a decoder stumbles over are answered in words of our own.
func TestDecodersAreNotQuoted(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	for body, status := range map[string]int{
		`{"job_type":"analyze",hidden}`: 400, `hidden`: 400, `{"hidden`: 400, `{"a":"\hidden"}`: 400, "\xef\xbb\xbf{}": 400,
		`{"job_type":"analyze","max_attempts":1e400}`:            0,
		`{"job_type":"analyze","run_at":"hidden"}`:               422,
		`{"job_type":"analyze","run_at":"2026-13-01T00:00:00Z"}`: 422,
	} {
		r := c.send(http.MethodPost, submitURL, body)
		p := r.problem()
		if status != 0 {
			require.Equal(t, status, r.status, body)
		}
		require.Less(t, r.status, 500, body)
		for _, quoted := range []string{"hid", "json:", "Go ", "strconv", "parsing", "invalid character", "1e400", "looking for"} {
			require.NotContains(t, string(r.body), quoted, body)
		}
		require.Less(t, len(p.Detail), 200)
	}
	r := c.send(http.MethodPost, submitURL, `{"job_type":"analyze"}`, "Content-Type", "hidden/hidden")
	r.fails(http.StatusUnsupportedMediaType, "bad_request")
	require.NotContains(t, string(r.body), "hidden")
	// Names of properties are told, in a bounded form.
	r = c.send(http.MethodPost, submitURL, `{"`+strings.Repeat("n", 10_000)+`":1}`)
	r.fails(http.StatusUnprocessableEntity, "validation_error")
	require.Less(t, len(r.body), 2000)
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf(`"n%d":1`, i)
	}
	r = c.send(http.MethodPost, submitURL, "{"+strings.Join(many, ",")+"}")
	require.LessOrEqual(t, len(r.fails(http.StatusUnprocessableEntity, "validation_error").Errors), 20)
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func encoded(t testing.TB, encoding string, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip", "x-gzip", "GZip":
		return string(gzipped(t, data))
	case "deflate":
		w = zlib.NewWriter(&out)
	case "br":
		w = brotli.NewWriter(&out)
	default:
		return string(data)
	}
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}

func TestEncodedBodies(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	body := []byte(`{"job_type":"analyze","payload":{"text":"` + strings.Repeat("word ", 20_000) + `"}}`)
	for _, encoding := range []string{"gzip", "x-gzip", "GZip", "deflate", "br", "identity", ""} {
		c.send(http.MethodPost, submitURL, encoded(t, encoding, body), "Content-Encoding", encoding).is(http.StatusOK, nil)
		require.Contains(t, string(testkit.Receive(t, w.recorded).Payload), "word word")
	}
	for name, tc := range map[string]struct {
		encoding, body string
		status         int
	}{
		"twice":            {"gzip, gzip", string(gzipped(t, gzipped(t, body))), 415},
		"three":            {"gzip, br, deflate", string(body), 415},
		"unknown":          {"zstd", string(body), 415},
		"nonsense":         {"hidden", string(body), 415},
		"unknown of two":   {"identity, compress", string(body), 415},
		"not gzip":         {"gzip", string(body), 400},
		"not deflate":      {"deflate", string(body), 400},
		"not br":           {"br", string(body), 400},
		"gzip as br":       {"br", string(gzipped(t, body)), 400},
		"truncated gzip":   {"gzip", string(gzipped(t, body)[:50]), 400},
		"no trailer":       {"gzip", strings.TrimSuffix(string(gzipped(t, body)), string(gzipped(t, body)[len(gzipped(t, body))-4:])), 400},
		"truncated br":     {"br", encoded(t, "br", body)[:20], 400},
		"truncated zlib":   {"deflate", encoded(t, "deflate", body)[:30], 400},
		"rest after gzip":  {"gzip", string(gzipped(t, body)) + "hidden", 400},
		"rest after zlib":  {"deflate", encoded(t, "deflate", body) + "hidden", 400},
		"inflates too far": {"gzip", string(gzipped(t, make([]byte, 2<<20))), 413},
		"br too far":       {"br", encoded(t, "br", make([]byte, 2<<20)), 413},
	} {
		r := c.send(http.MethodPost, submitURL, tc.body, "Content-Encoding", tc.encoding)
		require.Equal(t, tc.status, r.status, "%s: %s", name, r.body)
		require.NotContains(t, string(r.body), "hidden")
		for _, word := range []string{"gzip:", "zlib:", "brotli:", "flate:", "EOF"} {
			require.NotContains(t, r.problem().Detail, word, name)
		}
		if tc.status == http.StatusUnsupportedMediaType {
			require.Equal(t, "gzip, deflate, br", r.header.Get("Accept-Encoding"), name)
		}
	}
	// The same header twice is two encodings.
	twice := string(gzipped(t, gzipped(t, body)))
	g.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nX-Nexus-API-Key: %s\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s",
		submitURL, keyOf(ownerOf(identity.Operator)), len(twice), twice)).fails(http.StatusUnsupportedMediaType, "bad_request")
	// A body that nobody reads is nobody's business.
	c.send(http.MethodGet, whoamiURL, "x", "Content-Encoding", "hidden").is(http.StatusOK, nil)
	require.Empty(t, w.recorded)
}

// bomb inflates to 128 MiB, in so many steps.
func bomb(t testing.TB, steps int) string {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	require.NoError(t, err)
	zeros := make([]byte, 1<<20)
	for range 128 {
		_, err = w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	data := out.Bytes()
	for range steps - 1 {
		data = gzipped(t, data)
	}
	return string(data)
}

// The memory of this process is that of the gateway and of its clients.
func heldMemory() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Not parallel: memory is measured.
func TestBombsTakeNoMemory(t *testing.T) {
	w, g := start(t)
	twice, once := bomb(t, 2), bomb(t, 1)
	require.Less(t, len(twice), 20_000)
	c := g.role(identity.Admin)
	c.send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	runtime.GC()
	before := heldMemory()
	stop, highest := make(chan struct{}), make(chan uint64)
	go func() {
		high, tick := uint64(0), time.NewTicker(2*time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				high = max(high, heldMemory())
			case <-stop:
				highest <- high
				return
			}
		}
	}()
	for _, o := range operations() {
		if o.body != "" {
			require.Equal(t, http.StatusUnsupportedMediaType, c.send(o.method, o.url(), twice, "Content-Encoding", "gzip, gzip").status, o.path)
		}
	}
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for _, path := range []string{"/api/v1/jobs/batch", "/api/v1/jobs/retry"} {
				r := c.try(http.MethodPost, path, once, "Content-Encoding", "gzip")
				if r.err != nil || r.status != http.StatusRequestEntityTooLarge && r.status != http.StatusServiceUnavailable {
					t.Errorf("%s: %d %v %s", path, r.status, r.err, r.body)
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	grown := int64(<-highest) - int64(before)
	t.Logf("held at most %d MiB more", grown>>20)
	require.Less(t, grown, int64(100<<20), "less than one of them")
	require.Empty(t, w.recorded)
}

// trickle writes text in so many parts, each after a pause.
func trickle(conn net.Conn, text string, parts int, pause time.Duration) error {
	for size := max(1, len(text)/parts); text != ""; {
		n := min(size, len(text))
		if _, err := io.WriteString(conn, text[:n]); err != nil {
			return err
		}
		text = text[n:]
		<-time.After(pause)
	}
	return nil
}

func (i *instance) head(body int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nX-Nexus-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", submitURL, keyOf(ownerOf(identity.Operator)), body)
}

// patient are times that a test can wait for.
func patient(c *gateway.Config) { c.ReadSilence, c.ReadWhole = 1, 6 }

// A body may take its time while it flows.
func TestSlowUploadsArrive(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(patient))
	body := `{"job_type":"analyze","payload":{"a":"` + strings.Repeat("x", 40_000) + `"}}`
	conn := g.dial()
	_, err := io.WriteString(conn, g.head(len(body)))
	require.NoError(t, err)
	require.NoError(t, trickle(conn, body, 25, 100*time.Millisecond), "2.5 seconds, never one of silence")
	g.answer(conn).is(http.StatusOK, nil)
	testkit.Receive(t, w.recorded)
	conn = g.dial()
	_, err = io.WriteString(conn, strings.Replace(g.head(0), "Content-Length: 0", "Transfer-Encoding: chunked", 1))
	require.NoError(t, err)
	chunks := ""
	for at := 0; at < len(body); at += 2000 {
		part := body[at:min(at+2000, len(body))]
		chunks += fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
	}
	require.NoError(t, trickle(conn, chunks+"0\r\n\r\n", 25, 100*time.Millisecond))
	g.answer(conn).is(http.StatusOK, nil)
	testkit.Receive(t, w.recorded)
}

// Who says nothing, or would take for ever, is told so and let go.
func TestSlowRequestsEnd(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(patient))
	body := `{"job_type":"analyze","payload":{"a":"` + strings.Repeat("x", 1000) + `"}}`
	for name, tc := range map[string]struct {
		sent   string
		pause  time.Duration
		within time.Duration
	}{
		"silent in the body":    {g.head(len(body)) + body[:500], 0, 4 * time.Second},
		"silent before it":      {g.head(len(body)), 0, 4 * time.Second},
		"silent in the head":    {g.head(len(body))[:40], 0, 4 * time.Second},
		"for ever in the head":  {"GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 100), 50 * time.Millisecond, 4 * time.Second},
		"for ever in the body":  {g.head(1_000) + strings.Repeat(" ", 900), 100 * time.Millisecond, 12 * time.Second},
		"silent without rights": {strings.Replace(g.head(len(body)), "X-Nexus-API-Key", "X-Other", 1), 0, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, begun := g.dial(), time.Now()
			if tc.pause == 0 {
				_, err := io.WriteString(conn, tc.sent)
				require.NoError(t, err)
			} else {
				go func() { _ = trickle(conn, tc.sent, len(tc.sent), tc.pause) }()
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			r := reply{t: t, what: name}.read(resp).sound()
			require.Less(t, time.Since(begun), tc.within)
			require.Contains(t, []int{http.StatusRequestTimeout, http.StatusUnauthorized}, r.status, "%s", r.body)
			require.True(t, resp.Close, "the connection is closed")
		})
	}
	t.Cleanup(func() { require.Empty(t, w.recorded) })
}

// Who asks and does not listen holds nothing for ever.
func TestAnswersNobodyTakesEnd(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(patient))
	conn := g.dial()
	_, err := io.WriteString(conn, strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 2000))
	for err == nil {
		// The server stops reading where it cannot write, and then hangs up.
		_, err = io.WriteString(conn, strings.Repeat("GET /docs HTTP/1.1\r\nHost: x\r\n\r\n", 1000))
	}
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server has not hung up: %v", err)
}

// A body that broke off is not one that ended.
func TestBrokenBodiesAreNotTaken(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	body := `{"job_type":"analyze"}`
	chunked := strings.Replace(g.head(0), "Content-Length: 0", "Transfer-Encoding: chunked", 1)
	for name, sent := range map[string]string{
		"shorter than announced": g.head(len(body)+1) + body,
		"no last chunk":          chunked + fmt.Sprintf("%x\r\n%s\r\n", len(body), body),
		"in a chunk":             chunked + fmt.Sprintf("%x\r\n%s", len(body)+5, body),
		"in a chunk's size":      chunked + fmt.Sprintf("%x\r\n%s\r\n0", len(body), body),
		"a bad chunk":            chunked + "hidden\r\n" + body + "\r\n0\r\n\r\n",
		"a huge chunk":           chunked + "7fffffffffffffff\r\n" + body,
		"a longer chunk":         chunked + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body)-2, body),
	} {
		conn := g.dial()
		_, err := io.WriteString(conn, sent)
		require.NoError(t, err)
		tcp, ok := conn.(*net.TCPConn)
		require.True(t, ok)
		require.NoError(t, tcp.CloseWrite())
		r := g.answer(conn)
		require.Equal(t, http.StatusBadRequest, r.status, "%s: %s", name, r.body)
	}
	require.Empty(t, w.recorded)
}

// next reads the next answer on a connection.
func next(t testing.TB, in *bufio.Reader, method string) (status int, contentType string, closed bool) {
	t.Helper()
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Header.Get("Content-Type"), resp.Close
}

// Where a body ends is where the next request begins, whether it was read or not.
func TestUnreadBodiesAreNotTheNextRequest(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	smuggled := "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nX-Nexus-API-Key: " + keyOf(ownerOf(identity.Operator)) +
		"\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n" + `{"job_type":"analyze"}`
	padded := smuggled + strings.Repeat(" ", 100_000)
	for name, head := range map[string]string{
		"GET":      "GET /healthz HTTP/1.1\r\nHost: x\r\n",
		"HEAD":     "HEAD /healthz HTTP/1.1\r\nHost: x\r\n",
		"refused":  "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\n",
		"nowhere":  "POST /nowhere HTTP/1.1\r\nHost: x\r\n",
		"a method": "BREW /healthz HTTP/1.1\r\nHost: x\r\n",
		"form":     "POST " + submitURL + " HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n",
		"asking":   "POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n",
	} {
		for _, body := range []string{smuggled, padded} {
			for _, framed := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
			} {
				conn := g.dial()
				_, err := io.WriteString(conn, head+framed+"GET /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				require.NoError(t, err)
				in := bufio.NewReader(conn)
				method := http.MethodGet
				if name == "HEAD" {
					method = http.MethodHead
				}
				status, _, closed := next(t, in, method)
				if status == http.StatusContinue {
					_, _, closed = next(t, in, method)
				}
				if closed {
					continue
				}
				_, kind, _ := next(t, in, http.MethodGet)
				require.Equal(t, "text/html; charset=utf-8", kind, name)
			}
		}
	}
	require.Empty(t, w.recorded, "nothing was smuggled in")
}

// What nobody was let in for is not kept, however large it claims to be.
func TestAnnouncedSizesTakeNoMemory(t *testing.T) {
	_, g := start(t)
	runtime.GC()
	before := heldMemory()
	for range 100 {
		conn := g.dial()
		_, err := io.WriteString(conn, strings.Replace(g.head(4<<20), "X-Nexus-API-Key", "X-Other", 1)+strings.Repeat("x", 10_000))
		require.NoError(t, err)
	}
	g.role(identity.Viewer).send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	require.Less(t, int64(heldMemory())-int64(before), int64(60<<20))
}

// A body in chunks ends where it ends, and the connection goes on.
func TestChunkedBodiesOnAKeptConnection(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(patient))
	transport := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	for i := range 40 {
		method, path, body := http.MethodPost, submitURL, `{"job_type":"analyze"}`
		if i%4 != 0 {
			method, path, body = http.MethodGet, whoamiURL, ""
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.address+path, io.NopCloser(strings.NewReader(body)))
		require.NoError(t, err)
		req.Header.Set(apiKey, keyOf(ownerOf(identity.Operator)))
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.Do(req)
		require.NoError(t, err, "request %d", i)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.False(t, resp.Close)
	}
}
