package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/rs/zerolog"

	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/reqbody"
)

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type   string `json:"type" doc:"A URI reference that names the kind of problem." example:"about:blank"`
	Title  string `json:"title" doc:"The status in words." example:"Forbidden"`
	Status int    `json:"status" doc:"The HTTP status." example:"403"`
	Detail string `json:"detail" doc:"What is wrong, for a person." example:"Role 'viewer' lacks required permission 'operator'"`
	Code   string `json:"code" doc:"What is wrong, for a program; stable." example:"forbidden"`
	// RequestID leads to the log.
	RequestID string        `json:"request_id" doc:"The id of the request, as in X-Request-ID."`
	Errors    []fault.Field `json:"errors,omitempty" doc:"The parts of the request that are wrong."`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// statusOf is the one place where kinds of faults become HTTP statuses.
func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unprocessable:
		return http.StatusUnprocessableEntity
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// codeOf is the stable code of a status that no fault explains.
func codeOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusConflict:
		return "conflict"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusTooManyRequests:
		return "rate_limited"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "validation_error"
	case http.StatusServiceUnavailable:
		return "unavailable"
	}
	if status >= http.StatusInternalServerError {
		return "internal"
	}
	return "bad_request"
}

func newProblem(status int, code, detail, requestID string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code, RequestID: requestID}
}

// problemOf is how an outsider sees an error.
func problemOf(ctx context.Context, err error) *Problem {
	if p, ok := bodyRefusal(err); ok {
		p.RequestID = requestIDOf(ctx)
		return p
	}
	public := fault.Public(err)
	p := newProblem(statusOf(public.Kind), public.Code, public.Detail, requestIDOf(ctx))
	p.Errors = public.Fields
	return p
}

// encode is the problem as JSON.
func (p *Problem) encode() []byte {
	body, err := json.Marshal(p)
	if err != nil {
		// It holds nothing but strings and numbers.
		return []byte(`{}`)
	}
	return body
}

// sentenceFor is what a client is told where only the status is known. Library
// texts are not passed on: they quote the request.
func sentenceFor(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "The request cannot be read."
	case http.StatusNotFound:
		return "There is nothing at this path."
	case http.StatusMethodNotAllowed:
		return "This path does not take this method."
	case http.StatusRequestTimeout:
		return "The request did not arrive in time."
	case http.StatusRequestEntityTooLarge:
		return reqbody.TooLarge
	case http.StatusRequestHeaderFieldsTooLarge:
		return "The head of the request is larger than this server takes."
	case http.StatusUnsupportedMediaType:
		return "This path does not take the Content-Type of the body; send application/json."
	}
	if status < http.StatusInternalServerError {
		return "The request is not valid."
	}
	return fault.Public(errNoReason).Detail
}

// errNoReason stands for whatever went wrong inside.
var errNoReason = errors.New("an internal error")

// asProblem gives the errors huma makes by itself, such as failed validation,
// the same shape as ours.
func asProblem(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(model.Status, codeOf(model.Status), sentenceFor(model.Status), requestIDOf(ctx.Context()))
	for _, e := range model.Errors {
		if len(p.Errors) < maxFields {
			location, message := located(e)
			p.Errors = append(p.Errors, fault.Field{Location: location, Message: message})
		}
	}
	switch {
	case len(p.Errors) > 0:
		p.Detail = sentence(p.Errors[0].Location, p.Errors[0].Message)
	case model.Status == http.StatusBadRequest:
		p.Detail = "The request has no body."
	}
	return p, nil
}

// onFiberError answers what never reached an operation: unknown paths, wrong
// methods, panics.
func (s *Server) onFiberError(c *fiber.Ctx, err error) error {
	status := http.StatusInternalServerError
	var fe *fiber.Error
	if errors.As(err, &fe) {
		status = fe.Code
	}
	ctx := c.UserContext()
	if status >= http.StatusInternalServerError {
		s.logRequest(ctx, c, zerolog.ErrorLevel, err, 0)
	}
	if requestIDOf(ctx) == "" {
		// The request was refused before any middleware ran.
		ctx = withRequestID(ctx, requestID(c.Get(headerRequestID)))
	}
	c.Set(headerRequestID, requestIDOf(ctx))
	c.Set(fiber.HeaderContentType, problemType)
	return c.Status(status).Send(newProblem(status, codeOf(status), sentenceFor(status), requestIDOf(ctx)).encode())
}

// describeProblems puts our own error into the OpenAPI document, in place of
// the one huma describes and nobody gets.
func describeProblems(doc *huma.OpenAPI) {
	ours := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for _, response := range op.Responses {
				if media := response.Content[problemType]; media != nil {
					media.Schema = ours
				}
			}
		}
	}
	delete(doc.Components.Schemas.Map(), "ErrorModel")
	delete(doc.Components.Schemas.Map(), "ErrorDetail")
}
