package reqbody

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// Listen makes connections remember that their client has hung up, without
// which a body that broke off looks like one that ended.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // servers look at the error itself
	}
	return &conn{Conn: c}, nil
}

type conn struct {
	net.Conn
	ended atomic.Bool
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		c.ended.Store(true)
	}
	return n, err //nolint:wrapcheck // readers look at the error itself
}

func hungUp(c net.Conn) bool {
	own, ok := c.(*conn)
	return ok && own.ended.Load()
}
