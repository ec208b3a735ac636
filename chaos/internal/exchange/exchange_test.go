package exchange_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/exchange"
)

// serve answers each connection with a text, once the first line has come.
func serve(t *testing.T, text string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

func TestOneAnswer(t *testing.T) {
	t.Parallel()
	got, err := exchange.Do(t.Context(), serve(t, "HTTP/1.1 100 Continue\r\n\r\n"+ok), exchange.Send{Bytes: []byte("GET / HTTP/1.1\r\n\r\n"), Method: http.MethodGet})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "{}", string(got[0].Body))
}

func TestSeveralAnswers(t *testing.T) {
	t.Parallel()
	got, err := exchange.Do(t.Context(), serve(t, ok+ok+"garbage"), exchange.Send{Bytes: []byte("x\n"), Several: true})
	require.NoError(t, err)
	require.Len(t, got, 2)
	got, err = exchange.Do(t.Context(), serve(t, ""), exchange.Send{Bytes: []byte("x\n"), Several: true})
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestNoAnswerAndTooMuch(t *testing.T) {
	t.Parallel()
	_, err := exchange.Do(t.Context(), serve(t, ""), exchange.Send{Bytes: []byte("GET / HTTP/1.1\r\n\r\n"), Method: http.MethodGet})
	require.ErrorContains(t, err, "read an answer")
	_, err = exchange.Do(t.Context(), serve(t, ok), exchange.Send{Bytes: []byte("HEAD / HTTP/1.1\r\n\r\n"), Method: http.MethodHead})
	require.ErrorContains(t, err, "has no body")
}

func TestAHeadThatIsTooLargeHasNoMethod(t *testing.T) {
	t.Parallel()
	got, err := exchange.Do(t.Context(), serve(t, "HTTP/1.1 431 Too Large\r\nContent-Length: 2\r\n\r\n{}"), exchange.Send{Bytes: []byte("HEAD / HTTP/1.1\r\n\r\n"), Method: http.MethodHead})
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func TestAStreamEndsForUs(t *testing.T) {
	t.Parallel()
	got, err := exchange.Do(t.Context(), serve(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n: \n\r\n"),
		exchange.Send{Bytes: []byte("GET / HTTP/1.1\r\n\r\n"), Method: http.MethodGet, Endless: true})
	require.NoError(t, err)
	require.Equal(t, ": \n", string(got[0].Body))
}
