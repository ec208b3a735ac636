package evolve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// The types of events. Merge has no payload of its own: it takes two branches.
const (
	NaturalDrift      = "natural_drift"
	ReverseDrift      = "reverse_drift"
	SyntheticMutation = "synthetic_mutation"
	PhaseShift        = "phase_shift"
	GlyphFusion       = "glyph_fusion"
	Remix             = "remix"
	Merge             = "merge"
)

// Types lists the events that stand for themselves: every one but Merge.
func Types() []string {
	return []string{NaturalDrift, ReverseDrift, SyntheticMutation, PhaseShift, GlyphFusion, Remix}
}

// Event changes a text. Apply returns what became of it and the facts that a
// summary of the change names beside its length.
type Event interface {
	Apply(text string) (string, map[string]any)
}

// InvalidError says what is wrong with an event, in words for who sent it.
type InvalidError struct{ Reason string }

// Error is the reason.
func (e *InvalidError) Error() string { return e.Reason }

func invalidf(format string, args ...any) error {
	return &InvalidError{Reason: fmt.Sprintf(format, args...)}
}

// Common are the fields that the payload of every event may carry.
type Common struct {
	// Seed is where chance begins.
	Seed int64 `json:"seed"`
	// ExpectedParentIndex, when given, is the event_index that the parent must
	// have; a root document has 0.
	ExpectedParentIndex *int `json:"expected_parent_event_index"`
}

// Parse reads the event of a type out of its payload. An empty payload means {}.
// The error is an *InvalidError.
func Parse(eventType string, payload json.RawMessage) (Event, Common, error) {
	var event Event
	var common *Common
	switch eventType {
	case NaturalDrift:
		e := &drift{changes: soundChanges(), counted: "replacements"}
		event, common = e, &e.Common
	case ReverseDrift:
		e := &drift{changes: wayBack(), counted: "reversals"}
		event, common = e, &e.Common
	case SyntheticMutation:
		e := &mutation{Rate: defaultMutationRate}
		event, common = e, &e.Common
	case PhaseShift:
		e := &phaseShift{Acceleration: 1}
		event, common = e, &e.Common
	case GlyphFusion:
		e := &fusion{Left: "A", Right: "E", Fused: "Æ"}
		event, common = e, &e.Common
	case Remix:
		e := &remixed{}
		event, common = e, &e.Common
	case Merge:
		return nil, Common{}, invalidf("A merge takes two branches: POST /api/v1/branches/merge")
	default:
		return nil, Common{}, invalidf("Unknown event_type '%s': want one of %v", shorten(eventType), Types())
	}
	if err := read(payload, event); err != nil {
		return nil, Common{}, invalidf("event_payload of %s: %v", eventType, err)
	}
	if c, ok := event.(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			return nil, Common{}, invalidf("event_payload of %s: %v", eventType, err)
		}
	}
	if i := common.ExpectedParentIndex; i != nil && *i < 0 {
		return nil, Common{}, invalidf("event_payload of %s: expected_parent_event_index is negative", eventType)
	}
	return event, *common, nil
}

// read decodes a payload strictly and says what is wrong in plain words.
func read(payload json.RawMessage, into any) error {
	if len(bytes.TrimSpace(payload)) == 0 || bytes.Equal(bytes.TrimSpace(payload), []byte("null")) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			return errors.New("it is not one JSON object")
		}
		return nil
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Errorf("%s is of the wrong type", wrong.Field)
	case errors.As(err, &wrong):
		return errors.New("it is not a JSON object")
	default:
		return errors.New("it has a field that this event does not know, or is not valid JSON")
	}
}

// shorten keeps what is quoted back short.
func shorten(s string) string {
	const most = 64
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// Summary is what a change did, as a diff_summary shows it.
func Summary(eventType, before, after string, facts map[string]any) map[string]any {
	out := map[string]any{
		"event": eventType, "before_chars": utf8.RuneCountInString(before), "after_chars": utf8.RuneCountInString(after),
	}
	for name, value := range facts {
		out[name] = value
	}
	return out
}
