package eventstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"nexus.internal/libs/fault"
)

const (
	// retryMS is when clients are told to come back, in milliseconds.
	retryMS = 2000
	// writeWithin bounds one write to a client; afterwards it counts as lost.
	writeWithin = 30 * time.Second
	// lastWriteWithin bounds the same once the process stops.
	lastWriteWithin = time.Second
)

// Options bound the streams of a process.
type Options struct {
	// PerKey and Total bound the open streams of one API key and of the process.
	PerKey, Total int
	// Heartbeat is how long a stream may be silent.
	Heartbeat time.Duration
	// MaxAge is how long a stream lasts; its client comes back.
	MaxAge time.Duration
}

// Clients counts the clients that follow events and writes to them.
type Clients struct {
	opts     Options
	mu       sync.Mutex
	byKey    map[string]int
	total    int
	stopped  bool
	stopping chan struct{}
}

// NewClients makes it for no clients yet.
func NewClients(opts Options) *Clients {
	return &Clients{opts: opts, byKey: map[string]int{}, stopping: make(chan struct{})}
}

// Stop ends all streams at once and admits no more.
func (c *Clients) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.stopped = true
		close(c.stopping)
	}
}

// Admit counts one stream of an API key until leave is called. The error is a
// fault: RateLimited when the key has too many, Unavailable when the process has.
func (c *Clients) Admit(key string) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return nil, fault.Unavailablef("The gateway is shutting down.")
	case c.byKey[key] >= c.opts.PerKey:
		return nil, fault.New(fault.RateLimited, "too_many_streams", fmt.Sprintf("This key has %d event streams open, and may not have more.", c.opts.PerKey))
	case c.total >= c.opts.Total:
		return nil, fault.Unavailablef("This gateway has as many event streams open as it takes.")
	}
	c.byKey[key]++
	c.total++
	return sync.OnceFunc(func() { c.leave(key) }), nil
}

// Open is how many streams are open.
func (c *Clients) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

func (c *Clients) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.byKey[key]--; c.byKey[key] == 0 {
		delete(c.byKey, key)
	}
}

// Writer is the body of an answer. Flush fails once its client is gone.
type Writer interface {
	io.Writer
	Flush() error
}

// Deadline ends writes that take too long, like those of a net.Conn.
type Deadline interface {
	SetWriteDeadline(at time.Time) error
}

// Write writes a stream in the format of Server-Sent Events until it ends, ctx
// does, its client is lost, or the process stops.
func (c *Clients) Write(ctx context.Context, w Writer, conn Deadline, s *Stream) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.MaxAge)
	defer cancel()
	out := &writing{Writer: w, conn: conn}
	go func() {
		select {
		case <-c.stopping:
			cancel()
			out.last()
		case <-ctx.Done():
		}
	}()
	// The client knows its place before the first event.
	fmt.Fprintf(out, "retry: %d\nid: %s\n\n", retryMS, s.at)
	for out.flush() == nil {
		if !c.next(ctx, out, s) {
			// The client may be gone; nobody is left to be told.
			_ = out.flush()
			return
		}
	}
}

// next writes the next events, or a sign of life, and reports whether there can
// be more.
func (c *Clients) next(ctx context.Context, out *writing, s *Stream) bool {
	silent, cancel := context.WithTimeout(ctx, c.opts.Heartbeat)
	defer cancel()
	events, err := s.Next(silent)
	switch {
	case err == nil:
		for _, e := range events {
			fmt.Fprintf(out, "id: %s\nevent: %s\ndata: %s\n\n", e.At, e.Type, e.Data)
		}
		return true
	case ctx.Err() != nil, errors.Is(err, io.EOF):
		return false
	case errors.Is(err, ErrBehind):
		fmt.Fprintf(out, ": too far behind\nretry: %d\n\n", retryMS)
		return false
	default:
		// Nothing new, or nothing that can be read now.
		<-silent.Done()
		fmt.Fprint(out, ": still here\n\n")
		return ctx.Err() == nil
	}
}

// writing writes with a deadline that shrinks once the process stops.
type writing struct {
	Writer
	conn Deadline
	mu   sync.Mutex
	done bool
}

func (w *writing) flush() error {
	w.mu.Lock()
	within := writeWithin
	if w.done {
		within = lastWriteWithin
	}
	err := w.conn.SetWriteDeadline(time.Now().Add(within))
	w.mu.Unlock()
	if err != nil {
		return fmt.Errorf("bound a write: %w", err)
	}
	return w.Flush()
}

func (w *writing) last() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	// A connection that refuses is closed already.
	_ = w.conn.SetWriteDeadline(time.Now().Add(lastWriteWithin))
}
