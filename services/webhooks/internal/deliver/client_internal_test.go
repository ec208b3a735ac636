package deliver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/services/webhooks/internal/hook"
)

// says is the URL of a receiver that answers a post with some bytes and then holds
// the connection.
func says(t *testing.T, answer string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(conn, answer)
				_, _ = io.Copy(io.Discard, in)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// However an answer is drawn out, a post ends in time.
func TestNoAnswerHoldsAPost(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	for name, c := range map[string]struct {
		answer string
		status int
		err    string
	}{
		"no answer":           {"", 0, "no answer came in time"},
		"half of a header":    {"HTTP/1.1 200 OK\r\nX-A", 0, "no answer came in time"},
		"no end of the body":  {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx", 200, ""},
		"another protocol":    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 101, "the answer is 101"},
		"much of a header":    {"HTTP/1.1 200 OK\r\nX-A: " + string(make([]byte, 1<<20)), 0, "the host cannot be reached"},
		"not what was asked":  {"220 mail.example.com ESMTP\r\n", 0, "the host cannot be reached"},
		"a chunk without end": {"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\nx", 500, "the answer is 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := NewClient(timeout, true, PerHost, time.Now)
			t.Cleanup(client.Close)
			began := time.Now()
			out := client.Post(t.Context(), hook.Claimed{ID: uuid.New(), URL: says(t, c.answer), Body: []byte(`{}`)})
			require.Less(t, time.Since(began), 10*timeout)
			require.Equal(t, c.status, out.Status)
			if c.err == "" {
				require.NoError(t, out.Err)
				return
			}
			require.EqualError(t, out.Err, c.err)
		})
	}
}
