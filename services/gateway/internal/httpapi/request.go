package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"nexus.internal/libs/telemetry"
	"nexus.internal/services/gateway/internal/ingress"
	"nexus.internal/services/gateway/internal/reqbody"
)

// headRouter answers HEAD wherever it answers GET; the server leaves out the
// body.
type headRouter struct{ *fiber.App }

// Add implements fiber.Router.
func (r headRouter) Add(method, path string, handlers ...fiber.Handler) fiber.Router {
	if method == fiber.MethodGet {
		r.App.Add(fiber.MethodHead, path, handlers...)
	}
	return r.App.Add(method, path, handlers...)
}

// isHead says that nobody will read the body of the answer.
func isHead(ctx huma.Context) bool { return ctx.Method() == http.MethodHead }

// request is embedded under a name that its method Context does not have.
type request huma.Context

// received is a request whose body has been read.
type received struct {
	request
	body []byte
}

// BodyReader implements huma.Context.
func (r received) BodyReader() io.Reader { return bytes.NewReader(r.body) }

// Unwrap leads to the context beneath.
func (r received) Unwrap() huma.Context { return r.request }

// receive reads the body of a request that was let in, and refuses what no
// operation takes before anything decodes it. Routes without a body
// read none.
func (s *Server) receive(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if op.RequestBody == nil {
		next(ctx)
		return
	}
	body, release, err := s.bodies.Read(humafiber.Unwrap(ctx).Context(), int(op.MaxBodyBytes)-1)
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	defer release()
	if len(body) > 0 && isJSON(ctx.Header("Content-Type")) {
		if err := ingress.Check(body); err != nil {
			s.refuse(ctx, err)
			return
		}
	}
	next(received{ctx, body})
}

// serve wraps what answers requests in what must hold for each of them.
func (s *Server) serve(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if slices.Contains(fiber.DefaultMethods, string(ctx.Method())) {
			next(ctx)
		} else {
			s.answer(ctx, newProblem(http.StatusBadRequest, codeOf(http.StatusBadRequest), "The method of the request is not known.", ""))
		}
		if !s.bodies.Finish(ctx, s.opts.largestBody()+slack) || s.closing.Load() {
			ctx.SetConnectionClose()
		}
	}
}

// slack is how much larger than the largest body one may be that is still read,
// so that its client gets to see the answer.
const slack = 256 << 10

// onReadError answers what could not be read as a request. Nothing of the error
// is passed on: it may quote the request, and with it credentials, or even the
// request behind it.
func (s *Server) onReadError(ctx *fasthttp.RequestCtx, err error) {
	status := http.StatusBadRequest
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &small):
		status = http.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &network) && network.Timeout():
		status = http.StatusRequestTimeout
	}
	s.answer(ctx, newProblem(status, codeOf(status), sentenceFor(status), ""))
}

// answer writes a problem where there is no framework around the request.
func (s *Server) answer(ctx *fasthttp.RequestCtx, p *Problem) {
	s.measures.requests.Add(1, unread, unmatched, strconv.Itoa(p.Status))
	p.RequestID = requestID(string(ctx.Request.Header.Peek(headerRequestID)))
	ctx.Response.Reset()
	ctx.Response.Header.Set(headerRequestID, p.RequestID)
	ctx.Response.Header.SetContentType(problemType)
	ctx.SetStatusCode(p.Status)
	ctx.SetBody(p.encode())
	s.log.Debug().Int("status", p.Status).Str(telemetry.FieldRequestID, p.RequestID).Msg("a request could not be read")
}

// bodyRefusal is how a body that was not taken looks to an outsider.
func bodyRefusal(err error) (*Problem, bool) {
	var refusal *reqbody.Refusal
	if !errors.As(err, &refusal) {
		return nil, false
	}
	return newProblem(refusal.Status, codeOf(refusal.Status), refusal.Detail, ""), true
}
