package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/proxy"
)

// echo starts a server that answers every line with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, p *proxy.Proxy) client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return client{t, conn, bufio.NewReader(conn)}
}

func (c client) say(line string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, line+"\n")
	require.NoError(c.t, err)
}

// hears requires a line within ten seconds.
func (c client) hears(want string) {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	got, err := c.in.ReadString('\n')
	require.NoError(c.t, err)
	require.Equal(c.t, want+"\n", got)
}

func (c client) hearsNothing() {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := c.in.ReadString('\n')
	var timeout net.Error
	require.ErrorAs(c.t, err, &timeout)
	require.True(c.t, timeout.Timeout())
}

func (c client) isCut() {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := c.in.ReadByte()
	require.Error(c.t, err)
	var timeout net.Error
	require.False(c.t, errors.As(err, &timeout) && timeout.Timeout(), "the connection was not cut")
}

func TestPassesLosesAndCuts(t *testing.T) {
	t.Parallel()
	p, err := proxy.Listen(t.Context(), echo(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	for _, d := range []proxy.Direction{proxy.FromClient, proxy.FromServer} {
		c := dial(t, p)
		c.say("a")
		c.hears("a")
		p.Lose(d)
		c.say("b")
		c.hearsNothing()
		p.Restore()
		c.isCut()
		again := dial(t, p)
		again.say("c")
		again.hears("c")
		p.Cut()
		again.isCut()
	}
}

func TestAServerThatIsDown(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	p, err := proxy.Listen(t.Context(), addr)
	require.NoError(t, err)
	dial(t, p).isCut()
	require.NoError(t, p.Close())
	require.Error(t, p.Close(), "it is closed already")
}
