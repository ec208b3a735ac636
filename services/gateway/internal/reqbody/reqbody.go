// Package reqbody reads the bodies of requests: as they come, up to a limit, as
// long as they flow, and out of whatever they are encoded in.
//
// Nothing else may read a body. The server hands over a stream, and what a
// client is trusted with (how large, for how long) is decided before the first
// byte is kept.
package reqbody

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/semaphore"
)

// Limits bound what requests may cost.
type Limits struct {
	// Silence is how long a client may send nothing, Whole how long it may take
	// with all of a body.
	Silence, Whole time.Duration
	// Memory is how many bytes all encoded bodies together may take, decoders
	// included.
	Memory int64
}

// Refusal is why a body is not taken.
type Refusal struct {
	// Status is that of the answer.
	Status int
	// Detail is a sentence for the client.
	Detail string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

func refuse(status int, detail string) error { return &Refusal{status, detail} }

// TooLarge is the sentence for a body that is larger than its route takes.
const TooLarge = "The body is larger than this server takes."

func errTooLarge() error { return refuse(http.StatusRequestEntityTooLarge, TooLarge) }

// Reader reads bodies.
type Reader struct {
	limits Limits
	memory *semaphore.Weighted
}

// New makes a reader.
func New(limits Limits) *Reader {
	return &Reader{limits: limits, memory: semaphore.NewWeighted(limits.Memory)}
}

// Read returns the body of a request, decoded, if neither it nor what was sent
// is larger than limit bytes. release must be called once the body is no longer
// used. An error that is no Refusal does not exist.
func (r *Reader) Read(ctx *fasthttp.RequestCtx, limit int) (body []byte, release func(), err error) {
	encoding, err := encodingOf(&ctx.Request.Header)
	if err != nil {
		return nil, nil, err
	}
	raw, err := r.raw(ctx, limit)
	if err != nil {
		return nil, nil, err
	}
	if encoding == "" || len(raw) == 0 {
		return raw, func() {}, nil
	}
	return r.decode(ctx, encoding, raw, limit)
}

// raw reads what was sent. Memory is taken as bytes come and not as announced.
func (r *Reader) raw(ctx *fasthttp.RequestCtx, limit int) ([]byte, error) {
	announced := ctx.Request.Header.ContentLength()
	if announced > limit {
		return nil, errTooLarge()
	}
	in := r.stream(ctx)
	if in == nil {
		return nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "The request did not arrive in time.")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "The body is not complete.")
	case len(raw) > limit:
		return nil, errTooLarge()
	}
	return raw, nil
}

// Finish reads and forgets what was not read of a body, so that the client sees
// the answer and the next request begins where this one ends. It reports whether
// that was possible; otherwise the connection must be closed after the answer.
func (r *Reader) Finish(ctx *fasthttp.RequestCtx, most int64) bool {
	in := r.stream(ctx)
	if in == nil {
		return true
	}
	if int64(ctx.Request.Header.ContentLength()) > most {
		return false
	}
	n, err := io.Copy(io.Discard, io.LimitReader(in, most+1))
	return err == nil && n <= most
}

// streamKey is where a request keeps its stream.
type streamKey struct{}

// stream is the body as the client sends it; nil where there is none.
func (r *Reader) stream(ctx *fasthttp.RequestCtx) io.Reader {
	if f, ok := ctx.UserValue(streamKey{}).(*flowing); ok {
		return f
	}
	body := ctx.RequestBodyStream()
	if body == nil {
		return nil
	}
	f := &flowing{ctx: ctx, body: body, silence: r.limits.Silence, end: ctx.Time().Add(r.limits.Whole)}
	ctx.SetUserValue(streamKey{}, f)
	return f
}

// flowing is a body that must keep coming.
type flowing struct {
	ctx     *fasthttp.RequestCtx
	body    io.Reader
	silence time.Duration
	end     time.Time
	// over is how the body ended. Behind the end of a body in chunks the server's
	// own stream would take the next request for a chunk.
	over error
}

// Read implements io.Reader.
func (f *flowing) Read(p []byte) (int, error) {
	if f.over == nil {
		var n int
		n, f.over = f.read(p)
		return n, f.over
	}
	return 0, f.over
}

func (f *flowing) read(p []byte) (int, error) {
	by := time.Now().Add(f.silence)
	if f.end.Before(by) {
		by = f.end
	}
	if err := f.ctx.Conn().SetReadDeadline(by); err != nil {
		return 0, err //nolint:wrapcheck // only its kind is looked at
	}
	n, err := f.body.Read(p)
	if errors.Is(err, io.EOF) && hungUp(f.ctx.Conn()) {
		// The server takes the end of the connection for that of the body.
		err = io.ErrUnexpectedEOF
	}
	return n, err //nolint:wrapcheck // an io.Reader hands over io.EOF as it is
}

// patience is how long a body waits for the memory to decode it in.
const patience = 5 * time.Second

// reserve takes memory, or says that there is none now.
func (r *Reader) reserve(ctx context.Context, bytes int64) error {
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.memory.Acquire(waiting, bytes); err != nil {
		return refuse(http.StatusServiceUnavailable, "Too many encoded bodies are being read; try again later.")
	}
	return nil
}
