// Package fault is the vocabulary of errors that cross a service's edge: a
// kind that decides the answer, a stable code for programs, and a sentence for
// people. It knows no transport; each edge maps kinds to its own answers.
//
// Errors that stay inside a package do not belong here.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an error by what the caller can do about it.
type Kind string

// Kinds of errors.
const (
	Invalid         Kind = "invalid"         // the request makes no sense
	Unprocessable   Kind = "unprocessable"   // well formed, but its content is refused
	Unauthenticated Kind = "unauthenticated" // nobody knows who is asking
	Forbidden       Kind = "forbidden"       // known, but not allowed
	NotFound        Kind = "not_found"
	Conflict        Kind = "conflict" // contradicts what is recorded
	TooLarge        Kind = "too_large"
	RateLimited     Kind = "rate_limited"
	Unavailable     Kind = "unavailable" // try again later
	Internal        Kind = "internal"
)

// Error is an error with a kind.
type Error struct {
	Kind Kind `json:"kind"`
	// Code is stable and meant for programs.
	Code string `json:"code"`
	// Detail is a sentence for the person at the other end. It holds no
	// internals: no SQL, no payloads, no keys.
	Detail string `json:"detail"`
	// Fields names the parts of the request that are wrong, where known.
	Fields []Field `json:"fields,omitempty"`
	// cause is for logs only and never crosses a process.
	cause error
}

// Field is one thing wrong with one part of a request.
type Field struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Detail + ": " + e.cause.Error()
	}
	return e.Detail
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// New makes an error of a kind. An empty code becomes the kind's name.
func New(kind Kind, code, detail string) *Error {
	if code == "" {
		code = string(kind)
	}
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Wrap makes an error of a kind with a cause that is kept for the log.
func Wrap(kind Kind, cause error, detail string) *Error {
	e := New(kind, "", detail)
	e.cause = cause
	return e
}

// Invalidf makes an Invalid error with a code of its own.
func Invalidf(code, format string, args ...any) *Error {
	return New(Invalid, code, fmt.Sprintf(format, args...))
}

// Unprocessablef makes an Unprocessable error with the code validation_error.
func Unprocessablef(format string, args ...any) *Error {
	return New(Unprocessable, "validation_error", fmt.Sprintf(format, args...))
}

// NotFoundf makes a NotFound error.
func NotFoundf(format string, args ...any) *Error {
	return New(NotFound, "not_found", fmt.Sprintf(format, args...))
}

// Conflictf makes a Conflict error.
func Conflictf(format string, args ...any) *Error {
	return New(Conflict, "conflict", fmt.Sprintf(format, args...))
}

// Forbiddenf makes a Forbidden error.
func Forbiddenf(format string, args ...any) *Error {
	return New(Forbidden, "forbidden", fmt.Sprintf(format, args...))
}

// Unavailablef makes an Unavailable error.
func Unavailablef(format string, args ...any) *Error {
	return New(Unavailable, "unavailable", fmt.Sprintf(format, args...))
}

// KindOf is the kind of err, or Internal when it carries none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Text writes the kind of err and what an outsider may see of it in one line,
// for where only a text is kept. Parse reads it.
func Text(err error) string {
	public := Public(err)
	return string(public.Kind) + ": " + public.Detail
}

// Parse reads what Text wrote. Any other text is no fault.
func Parse(text string) (*Error, bool) {
	kind, detail, found := strings.Cut(text, ": ")
	if !found || detail == "" {
		return nil, false
	}
	switch k := Kind(kind); k {
	case Unprocessable:
		return Unprocessablef("%s", detail), true
	case Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, RateLimited, Unavailable:
		return New(k, "", detail), true
	case Internal:
		return nil, false
	default:
		return nil, false
	}
}

// Public is err as an outsider may see it: errors without a kind become an
// Internal one that says nothing about their cause.
func Public(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Kind: e.Kind, Code: e.Code, Detail: e.Detail, Fields: e.Fields}
	}
	return New(Internal, "internal", "Something went wrong on our side; the request id leads to the log.")
}
