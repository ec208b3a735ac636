// Package exchange sends bytes to an HTTP server as they are, right or wrong,
// and reads what comes back.
package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// within bounds a whole exchange.
	within = 45 * time.Second
	// streamFor is how long a stream without an end is read.
	streamFor = 150 * time.Millisecond
	// moreFor is how long further answers are waited for, where bytes may have
	// been several requests.
	moreFor = 300 * time.Millisecond
	// mostAnswers and mostBody bound what is read.
	mostAnswers = 40
	mostBody    = 4 << 20
)

// Send is what is to be sent.
type Send struct {
	Bytes []byte
	// Method is that of the first request: an answer to HEAD has no body.
	Method string
	// Endless says that the answer does not end by itself, Several that there
	// may be more than one, or none.
	Endless, Several bool
}

// Answer is one answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends bytes over a connection of their own and reads the answers. Without
// any answer it is an error, unless several were possible.
func Do(ctx context.Context, address string, s Send) ([]Answer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer abort(conn)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, fmt.Errorf("set a deadline: %w", err)
	}
	// A server may answer before it has read everything.
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(s.Bytes)
		if tcp, ok := conn.(*net.TCPConn); ok && s.Several {
			// The server must not wait for what will never come.
			err = errors.Join(err, tcp.CloseWrite())
		}
		written <- err
	}()
	answers, err := read(conn, s)
	if err != nil {
		// A write that is still under way ends with the connection.
		abort(conn)
	}
	return answers, errors.Join(err, ignoreAnswered(<-written, answers))
}

// ignoreAnswered forgives a server that stopped reading because it had answered.
func ignoreAnswered(err error, answers []Answer) error {
	if len(answers) > 0 {
		return nil
	}
	return err
}

// abort closes a connection without leaving the port in use.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// errTail means that an answer without a body had one.
var errTail = errors.New("bytes follow an answer that has no body")

func read(conn net.Conn, s Send) ([]Answer, error) {
	var out []Answer
	r, method := bufio.NewReader(conn), strings.ToUpper(s.Method)
	for len(out) < mostAnswers {
		if len(out) > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(moreFor))
		}
		a, err := one(conn, r, method, s.Endless)
		if err != nil {
			if s.Several {
				return out, nil
			}
			return out, err
		}
		if a.Status < http.StatusOK { // 100 Continue and its like
			continue
		}
		out = append(out, a)
		if !s.Several {
			// Whoever refuses a head before it is read does not know its method, and
			// closes the connection.
			if r.Buffered() > 0 && !s.Endless && a.Status != http.StatusRequestHeaderFieldsTooLarge {
				return out, errTail
			}
			return out, nil
		}
		method = http.MethodGet
	}
	return out, nil
}

func one(conn net.Conn, r *bufio.Reader, method string, endless bool) (Answer, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return Answer{}, fmt.Errorf("read an answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	endless = endless && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	if endless {
		_ = conn.SetReadDeadline(time.Now().Add(streamFor))
	}
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, mostBody))
	if err != nil && !endless {
		return a, fmt.Errorf("read the body of an answer: %w", err)
	}
	return a, nil
}
