package trail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
)

// ErrUnfit means that a message is not a pack of events that can be kept. No
// part of it is: a trail with half of what happened at once would mislead.
var ErrUnfit = errors.New("not a pack of events that can be kept")

// ErrRefused means that the database refuses entries for what they hold.
// Trying again cannot help.
var ErrRefused = errors.New("the database refuses what it was given")

// maxWord is the most bytes an id or a name may have; Postgres cannot index
// much longer ones.
const maxWord = 512

// Entry is one event as the trail keeps it.
type Entry struct {
	EventID    string
	Action     string
	Actor      string
	Source     string
	RequestID  string
	OccurredAt time.Time
	// TraceID has 16 bytes, or none where the event was in no trace.
	TraceID []byte
	Details json.RawMessage
	// TraceParent is what to continue the event's trace with; it is not kept.
	TraceParent string
}

// rowOverhead is what a row costs beside its details: the other columns and
// the two indexes, roughly.
const rowOverhead = 400

// Size is roughly how many bytes it costs to keep the entry.
func (e Entry) Size() int { return rowOverhead + len(e.Details) }

// Decode reads the entries out of the body of a message. The error wraps
// ErrUnfit.
func Decode(ctx context.Context, body []byte) ([]Entry, error) {
	events, err := contract.DecodeEvents(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	entries := make([]Entry, 0, len(events))
	for i, e := range events {
		if err := check(e); err != nil {
			return nil, fmt.Errorf("%w: event %d: %w", ErrUnfit, i, err)
		}
		entries = append(entries, entryOf(ctx, e))
	}
	return entries, nil
}

// check refuses what Postgres cannot hold. Repairing it would falsify it.
func check(e contract.Event) error {
	for _, word := range []struct{ name, value string }{
		{"id", e.ID}, {"type", e.Type}, {"actor", e.Actor}, {"source", e.Source}, {"request_id", e.RequestID},
	} {
		if len(word.value) > maxWord {
			return fmt.Errorf("its %s has %d bytes, more than %d", word.name, len(word.value), maxWord)
		}
		if strings.ContainsRune(word.value, 0) {
			return fmt.Errorf("its %s holds a NUL byte", word.name)
		}
	}
	if !utf8.Valid(e.Data) {
		return errors.New("its data is not UTF-8")
	}
	return nil
}

func entryOf(ctx context.Context, e contract.Event) Entry {
	details := e.Data
	if len(details) == 0 {
		details = json.RawMessage("null")
	}
	return Entry{
		EventID: e.ID, Action: Action(e.Type), Actor: e.Actor, Source: e.Source, RequestID: e.RequestID,
		OccurredAt: e.Time, TraceID: traceID(ctx, e.TraceParent), Details: details, TraceParent: e.TraceParent,
	}
}

// traceID is the trace that parent names, whatever trace ctx is in.
func traceID(ctx context.Context, parent string) []byte {
	ctx = telemetry.WithTraceParent(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), parent)
	id := trace.SpanContextFromContext(ctx).TraceID()
	if !id.IsValid() {
		return nil
	}
	return id[:]
}
