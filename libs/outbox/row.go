package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

// described is a message in the first line of a row.
type described struct {
	Subject     string `json:"subject"`
	ID          string `json:"id"`
	Type        string `json:"type"`
	TraceParent string `json:"traceparent,omitempty"`
	RequestID   string `json:"request_id,omitempty"`
	// Size is how many bytes the body has.
	Size int `json:"size"`
}

// encode writes a row: a line of JSON that describes the messages, and behind it
// their bodies, byte for byte. They are JSON already, and the largest part of what
// the hot paths write, so nobody looks through them again.
func encode(messages []bus.Message) ([]byte, error) {
	head := make([]described, len(messages))
	size := 0
	for i, m := range messages {
		head[i] = described{m.Subject, m.ID, m.Type, m.TraceParent, m.RequestID, len(m.Body)}
		size += len(m.Body)
	}
	line, err := contract.Encode(head)
	if err != nil {
		return nil, fmt.Errorf("encode an outbox row: %w", err)
	}
	row := make([]byte, 0, len(line)+1+size)
	row = append(append(row, line...), '\n')
	for _, m := range messages {
		row = append(row, m.Body...)
	}
	return row, nil
}

// decode reads a row. Without a second line it is one of an earlier release, whose
// messages had their bodies with them.
func decode(row []byte) ([]bus.Message, error) {
	line, bodies, ok := bytes.Cut(row, []byte{'\n'})
	if !ok {
		var messages []bus.Message
		if err := json.Unmarshal(row, &messages); err != nil {
			return nil, fmt.Errorf("decode messages: %w", err)
		}
		return messages, nil
	}
	var head []described
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("decode what describes the messages: %w", err)
	}
	messages := make([]bus.Message, len(head))
	for i, d := range head {
		if d.Size < 0 || d.Size > len(bodies) {
			return nil, errors.New("it is shorter than it says")
		}
		messages[i] = bus.Message{Subject: d.Subject, ID: d.ID, Type: d.Type, TraceParent: d.TraceParent, RequestID: d.RequestID, Body: bodies[:d.Size]}
		bodies = bodies[d.Size:]
	}
	if len(bodies) > 0 {
		return nil, errors.New("it is longer than it says")
	}
	return messages, nil
}
