// Package telemetry makes the loggers and tracers of a process and carries the
// trace context across messages. It installs nothing globally: seven services
// may share a process, each with tracers of its own.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Names of log fields. Keys, tokens, payloads and results are never logged.
const (
	FieldService   = "service"
	FieldRequestID = "request_id"
	FieldTraceID   = "trace_id"
	FieldJobID     = "job_id"
	FieldJobType   = "job_type"
	FieldWorker    = "worker"
	FieldSubject   = "subject"
)

// Format is how log entries are written.
type Format string

// Formats.
const (
	// FormatAuto is text on a terminal and JSON anywhere else.
	FormatAuto Format = "auto"
	FormatJSON Format = "json"
	FormatText Format = "text"
)

// Formats lists every format.
func Formats() []Format { return []Format{FormatAuto, FormatJSON, FormatText} }

// CheckFormat refuses what is no format.
func CheckFormat(f Format) error {
	if !slices.Contains(Formats(), f) {
		return fmt.Errorf("log format %q: want auto, json or text", string(f))
	}
	return nil
}

// Levels lists the levels of logs, the most talkative first.
func Levels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

// CheckLevel refuses what is no level.
func CheckLevel(level string) error {
	_, err := parseLevel(level)
	return err
}

func parseLevel(level string) (zerolog.Level, error) {
	if !slices.Contains(Levels(), level) {
		return zerolog.Disabled, fmt.Errorf("log level %q: want trace, debug, info, warn or error", level)
	}
	return zerolog.ParseLevel(level)
}

// Logs makes the loggers of a process. Their levels can be changed while they are
// in use.
type Logs struct {
	out io.Writer

	mu sync.Mutex
	// level is that of loggers made from now on.
	level zerolog.Level
	of    map[string]*threshold
}

// NewLogs makes loggers that write to w, each entry with one call. level is one of
// Levels.
func NewLogs(w io.Writer, level string, format Format) (*Logs, error) {
	lvl, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	if err := CheckFormat(format); err != nil {
		return nil, err
	}
	if format == FormatText || format == FormatAuto && IsTerminal(w) {
		w = readable(w)
	}
	return &Logs{out: w, level: lvl, of: map[string]*threshold{}}, nil
}

// readable writes entries for people. What identifies an entry comes in the same
// order in each. Colours are for terminals only.
func readable(w io.Writer) io.Writer {
	return zerolog.ConsoleWriter{
		Out: w, NoColor: !IsTerminal(w), TimeFormat: time.TimeOnly,
		PartsOrder:    []string{zerolog.TimestampFieldName, zerolog.LevelFieldName, FieldService, zerolog.MessageFieldName},
		FieldsExclude: []string{FieldService},
	}
}

// IsTerminal reports whether w leads to a terminal that is still there.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(interface{ Fd() uintptr })
	return ok && isatty.IsTerminal(file.Fd())
}

// Logger is the logger of a service. Those of one name share their level.
func (l *Logs) Logger(service string) zerolog.Logger {
	l.mu.Lock()
	defer l.mu.Unlock()
	lvl := l.of[service]
	if lvl == nil {
		lvl = newThreshold(l.level)
		l.of[service] = lvl
	}
	return zerolog.New(l.out).Sample(lvl).With().Timestamp().Str(FieldService, service).Logger()
}

// Set changes the level of a service, or of all, also of those that have no logger
// yet, where service is empty.
func (l *Logs) Set(service, level string) error {
	lvl, err := parseLevel(level)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if service == "" {
		l.level = lvl
	}
	for name, of := range l.of {
		if service == "" || name == service {
			of.set(lvl)
		}
	}
	return nil
}

// Level is the level of a service.
func (l *Logs) Level(service string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lvl := l.of[service]; lvl != nil {
		return lvl.get().String()
	}
	return l.level.String()
}

// threshold decides for a logger, and all that are derived from it, whether an entry
// is written, before anything of the entry is made. It is a zerolog.Sampler, which
// is what zerolog asks then.
type threshold struct{ least atomic.Int32 }

func newThreshold(lvl zerolog.Level) *threshold {
	l := &threshold{}
	l.set(lvl)
	return l
}

func (l *threshold) set(lvl zerolog.Level) { l.least.Store(int32(lvl)) }

func (l *threshold) get() zerolog.Level { return zerolog.Level(l.least.Load()) }

// Sample implements zerolog.Sampler.
func (l *threshold) Sample(lvl zerolog.Level) bool { return lvl >= l.get() }

// OfJob adds to an entry what ties it to a job: the request and the trace that
// caused it, as far as they are known.
func OfJob(e *zerolog.Event, jobID, jobType, requestID, traceParent string) *zerolog.Event {
	if !e.Enabled() {
		return e
	}
	e.Str(FieldJobID, jobID)
	for _, f := range [...]struct{ name, value string }{
		{FieldJobType, jobType}, {FieldRequestID, requestID}, {FieldTraceID, TraceIDOf(traceParent)},
	} {
		if f.value != "" {
			e.Str(f.name, f.value)
		}
	}
	return e
}

// TraceID is the id of the trace ctx is in, or empty.
func TraceID(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.HasTraceID() {
		return ""
	}
	return sc.TraceID().String()
}

// TraceIDOf is the id of the trace that a W3C traceparent names, or empty.
func TraceIDOf(parent string) string {
	const begin, end = 3, 35
	if len(parent) < end+1 || parent[begin-1] != '-' || parent[end] != '-' {
		return ""
	}
	id := parent[begin:end]
	if _, err := trace.TraceIDFromHex(id); err != nil {
		return ""
	}
	return id
}
