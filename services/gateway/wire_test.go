package gateway_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire is the network between a gateway and its NATS server. It can be cut.
type wire struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// newWire leads to the server at a URL.
func newWire(t testing.TB, server string) *wire {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	listener := listen(t)
	w := &wire{target: u.Host, listener: listener, conns: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { w.forward(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.breaks()
		serving.Wait()
	})
	return w
}

func (w *wire) url() string { return "nats://" + w.listener.Addr().String() }

func (w *wire) forward(near net.Conn) {
	far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.target)
	if err != nil {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	w.conns[near], w.conns[far] = true, true
	cut := w.cut
	w.mu.Unlock()
	if cut {
		w.drop(near, far)
		return
	}
	var copying sync.WaitGroup
	copying.Go(func() { _, _ = io.Copy(far, near); w.drop(near, far) })
	copying.Go(func() { _, _ = io.Copy(near, far); w.drop(near, far) })
	copying.Wait()
}

func (w *wire) drop(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(w.conns, c)
	}
}

// breaks ends all connections and takes no new ones.
func (w *wire) breaks() {
	w.mu.Lock()
	w.cut = true
	conns := make([]net.Conn, 0, len(w.conns))
	for c := range w.conns {
		conns = append(conns, c)
	}
	w.mu.Unlock()
	w.drop(conns...)
}

// mends lets connections through again.
func (w *wire) mends() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}
