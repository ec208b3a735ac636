package reqbody

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/valyala/fasthttp"
)

// Encodings lists the content encodings that are taken, as Accept-Encoding says
// it.
const Encodings = "gzip, deflate, br"

// What a decoder may need, in bytes, besides what it puts out: its window.
const (
	flateWindow  = 64 << 10
	brotliWindow = 17 << 20
)

// Needed is how many bytes of memory a reader needs at least to take an encoded
// body of so many bytes.
func Needed(limit int) int64 { return int64(limit) + brotliWindow }

// encodingOf is what the body is encoded in, once; empty where it is not.
// Encodings of encodings multiply, and nobody needs them.
func encodingOf(h *fasthttp.RequestHeader) (string, error) {
	var found []string
	for _, line := range h.PeekAll(fasthttp.HeaderContentEncoding) {
		for name := range strings.SplitSeq(string(line), ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "identity" {
				found = append(found, name)
			}
		}
	}
	switch {
	case len(found) == 0:
		return "", nil
	case len(found) > 1:
		return "", refuse(http.StatusUnsupportedMediaType, "The body has more than one Content-Encoding; this server takes one of "+Encodings+".")
	}
	switch found[0] {
	case "gzip", "x-gzip":
		return "gzip", nil
	case "deflate", "br":
		return found[0], nil
	}
	return "", refuse(http.StatusUnsupportedMediaType, "This server does not know the Content-Encoding of the body; it takes "+Encodings+".")
}

// decode measures first and keeps afterwards: what turns out too large has taken
// no memory but the decoder's, and what does not takes exactly its size.
func (r *Reader) decode(ctx context.Context, encoding string, raw []byte, limit int) ([]byte, func(), error) {
	window := int64(flateWindow)
	if encoding == "br" {
		window = brotliWindow
	}
	if err := r.reserve(ctx, window); err != nil {
		return nil, nil, err
	}
	defer r.memory.Release(window)
	size, err := inflate(io.Discard, encoding, raw, limit)
	if err != nil {
		return nil, nil, err
	}
	// Whoever waits here keeps its window from others, so it does not wait.
	if !r.memory.TryAcquire(size) {
		return nil, nil, refuse(http.StatusServiceUnavailable, "Too many encoded bodies are being read; try again later.")
	}
	out := bytes.NewBuffer(make([]byte, 0, size))
	if _, err := inflate(out, encoding, raw, limit); err != nil {
		r.memory.Release(size)
		return nil, nil, err
	}
	return out.Bytes(), func() { r.memory.Release(size) }, nil
}

// inflate writes what raw stands for, at most limit bytes of it.
func inflate(to io.Writer, encoding string, raw []byte, limit int) (int64, error) {
	in := bytes.NewReader(raw)
	decoder, err := open(encoding, in)
	if err != nil {
		return 0, errNotEncoded()
	}
	n, err := io.Copy(to, io.LimitReader(decoder, int64(limit)+1))
	switch {
	case n > int64(limit):
		return 0, errTooLarge()
	case err != nil, in.Len() > 0:
		return 0, errNotEncoded()
	}
	return n, nil
}

func open(encoding string, in *bytes.Reader) (io.Reader, error) {
	switch encoding {
	case "gzip":
		return gzip.NewReader(in) //nolint:wrapcheck // the client is told one sentence
	case "deflate":
		return zlib.NewReader(in) //nolint:wrapcheck // the client is told one sentence
	default:
		return brotli.NewReader(in), nil
	}
}

func errNotEncoded() error {
	return refuse(http.StatusBadRequest, "The body is not what its Content-Encoding says.")
}
