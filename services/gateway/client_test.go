package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
)

const (
	apiKey    = "X-Nexus-Api-Key"
	requestID = "X-Request-Id"
	submitURL = "/api/v1/jobs/submit"
)

// client uses the REST API of one gateway.
type client struct {
	t    testing.TB
	base string
	http *http.Client
	// header goes with every request.
	header http.Header
}

func (i *instance) client(header http.Header) client {
	i.w.t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	i.w.t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client{t: i.w.t, base: "http://" + i.address, http: c, header: header}
}

// as calls with the key of an owner, nobody without one.
func (i *instance) as(owner string) client {
	i.w.t.Helper()
	return i.client(http.Header{apiKey: {keyOf(owner)}})
}

func (i *instance) role(role identity.Role) client {
	i.w.t.Helper()
	return i.as(ownerOf(role))
}

func (i *instance) nobody() client {
	i.w.t.Helper()
	return i.client(nil)
}

// reply is an answer of the REST API, or why there is none.
type reply struct {
	t      testing.TB
	what   string
	err    error
	status int
	header http.Header
	body   []byte
}

// problem is the body of an error.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// send makes a request. What holds for every answer is checked here.
func (c client) send(method, path, body string, header ...string) reply {
	c.t.Helper()
	return c.try(method, path, body, header...).sound()
}

// try makes a request and checks nothing: other goroutines may use it.
func (c client) try(method, path, body string, header ...string) reply {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := reply{t: c.t, what: method + " " + path}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, in)
	if err != nil {
		r.err = err
		return r
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		r.err = err
		return r
	}
	return r.read(resp)
}

func (r reply) read(resp *http.Response) reply {
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		// It would not end.
		r.err, r.status, r.header = resp.Body.Close(), resp.StatusCode, resp.Header
		return r
	}
	data, err := io.ReadAll(resp.Body)
	r.err, r.status, r.header, r.body = errors.Join(err, resp.Body.Close()), resp.StatusCode, resp.Header, data
	return r
}

// background submits and hands over the answer.
func (c client) background(body string) <-chan reply {
	ch := make(chan reply, 1)
	go func() { ch <- c.try(http.MethodPost, submitURL, body) }()
	return ch
}

// sound checks what holds for every answer.
func (r reply) sound() reply {
	r.t.Helper()
	require.NoError(r.t, r.err, r.what)
	require.NotEmpty(r.t, r.header.Get(requestID), "%s: every answer names its request", r.what)
	if r.status >= http.StatusBadRequest {
		r.problem()
	}
	return r
}

// problem reads an error and checks that it is complete.
func (r reply) problem() problem {
	r.t.Helper()
	require.Equal(r.t, "application/problem+json", r.header.Get("Content-Type"), "%s: %s", r.what, r.body)
	var p problem
	dec := json.NewDecoder(bytes.NewReader(r.body))
	dec.DisallowUnknownFields()
	require.NoError(r.t, dec.Decode(&p), "%s: %s", r.what, r.body)
	require.Equal(r.t, "about:blank", p.Type, r.what)
	require.Equal(r.t, r.status, p.Status, r.what)
	require.Equal(r.t, http.StatusText(r.status), p.Title, r.what)
	require.NotEmpty(r.t, p.Detail, r.what)
	require.NotEmpty(r.t, p.Code, r.what)
	require.Equal(r.t, r.header.Get(requestID), p.RequestID, r.what)
	if r.status == http.StatusServiceUnavailable {
		require.Equal(r.t, "2", r.header.Get("Retry-After"), r.what)
	}
	return p
}

// fails requires an error.
func (r reply) fails(status int, code string) problem {
	r.t.Helper()
	require.NoError(r.t, r.err, r.what)
	require.Equal(r.t, status, r.status, "%s: %s", r.what, r.body)
	p := r.problem()
	require.Equal(r.t, code, p.Code, "%s: %s", r.what, r.body)
	return p
}

// is requires a status and decodes the body into v, if there is one.
func (r reply) is(status int, v any) {
	r.t.Helper()
	require.NoError(r.t, r.err, r.what)
	require.Equal(r.t, status, r.status, "%s: %s", r.what, r.body)
	if v != nil {
		require.NoError(r.t, json.Unmarshal(r.body, v), "%s: %s", r.what, r.body)
	}
}

// submitted is the answer to a submit.
type submitted struct {
	JobID         string `json:"job_id"`
	Status        string `json:"status"`
	JobType       string `json:"job_type"`
	ExecutionMode string `json:"execution_mode"`
	ErrorText     string `json:"error_text"`
}

// submit requires a status of a submit that was taken.
func (c client) submit(status int, body string) submitted {
	c.t.Helper()
	var s submitted
	c.send(http.MethodPost, submitURL, body).is(status, &s)
	return s
}

// raw sends bytes as they are and reads one answer.
func (i *instance) raw(text string) reply {
	i.w.t.Helper()
	conn := i.dial()
	_, err := io.WriteString(conn, text)
	require.NoError(i.w.t, err)
	return i.answer(conn)
}

func (i *instance) dial() net.Conn {
	i.w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(i.w.t.Context(), "tcp", i.address)
	require.NoError(i.w.t, err)
	i.w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(i.w.t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return conn
}

func (i *instance) answer(conn net.Conn) reply {
	i.w.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(i.w.t, err)
	return reply{t: i.w.t, what: "raw request"}.read(resp).sound()
}
