// Package telemetry makes the loggers and tracers of a process and carries the
// trace context across messages. It installs nothing globally: seven services
// may share a process, each with tracers of its own.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Names of log fields. Keys, tokens and payloads are never logged.
const (
	FieldService   = "service"
	FieldRequestID = "request_id"
	FieldTraceID   = "trace_id"
	FieldJobID     = "job_id"
	FieldJobType   = "job_type"
	FieldWorker    = "worker"
	FieldSubject   = "subject"
)

// NewLogger makes a JSON logger for one service. level is one of trace, debug,
// info, warn, error.
func NewLogger(w io.Writer, level, service string) (zerolog.Logger, error) {
	lvl, err := zerolog.ParseLevel(level)
	switch lvl {
	case zerolog.TraceLevel, zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel:
	default:
		err = errors.New("not a level")
	}
	if err != nil || lvl.String() != level {
		return zerolog.Nop(), fmt.Errorf("log level %q: want trace, debug, info, warn or error", level)
	}
	return zerolog.New(w).Level(lvl).With().Timestamp().Str(FieldService, service).Logger(), nil
}

// TraceID is the id of the trace ctx is in, or empty.
func TraceID(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.HasTraceID() {
		return ""
	}
	return sc.TraceID().String()
}
