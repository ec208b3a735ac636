package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Direction is who speaks.
type Direction int

// Directions.
const (
	// FromClient is what the program says.
	FromClient Direction = iota
	// FromServer is what it is told.
	FromServer
)

// Proxy passes TCP connections on to one address. Its methods may be called
// from any goroutine.
type Proxy struct {
	listener net.Listener
	to       string

	losing  [2]atomic.Bool
	mu      sync.Mutex
	pairs   map[*pair]struct{}
	closed  bool
	working sync.WaitGroup
}

// pair is one connection with its continuation.
type pair struct{ client, server net.Conn }

func (p *pair) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// Listen starts a proxy on a free port of this machine.
func Listen(ctx context.Context, to string) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy: %w", err)
	}
	p := &Proxy{listener: l, to: to, pairs: map[*pair]struct{}{}}
	p.working.Go(func() { p.accept(context.WithoutCancel(ctx)) })
	return p, nil
}

// Addr is where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Lose makes the proxy drop everything one side says from now on: it takes the
// bytes and does not pass them on. What the other side makes of a connection
// that lost something is undefined, so Restore cuts all connections.
func (p *Proxy) Lose(d Direction) { p.losing[d].Store(true) }

// Restore cuts all connections and passes everything on again.
func (p *Proxy) Restore() {
	p.Cut()
	p.losing[FromClient].Store(false)
	p.losing[FromServer].Store(false)
	// Those that came while something was still lost.
	p.Cut()
}

// Cut ends every connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.close()
	}
}

// Close ends the proxy with its connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.working.Wait()
	return err
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.to)
		if err != nil {
			// The server is down; so is the way to it.
			_ = client.Close()
			continue
		}
		p.serve(&pair{client, server})
	}
}

func (p *Proxy) serve(c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.close()
		return
	}
	p.pairs[c] = struct{}{}
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, c.client, c.server, FromClient) })
	both.Go(func() { p.pass(c, c.server, c.client, FromServer) })
	p.working.Go(func() {
		both.Wait()
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	})
}

// pass copies one direction until the connection ends.
func (p *Proxy) pass(c *pair, from, to net.Conn, d Direction) {
	defer c.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.losing[d].Load() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
