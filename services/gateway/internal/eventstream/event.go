package eventstream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// Events of the stream itself.
const (
	// TypeGap says that events between the place asked for and the next one are
	// not kept any more.
	TypeGap = "nexus.stream.gap"
	// TypeEnd is the last event of a job's stream.
	TypeEnd = "nexus.stream.end"
	// WhatSnapshot is the event that tells where a job is when its stream begins.
	WhatSnapshot = "snapshot"
)

// Event is one event as a client gets it.
type Event struct {
	At   Position
	Type string
	// Data is JSON on one line.
	Data []byte
}

// item is an event of a pack with what filters look at.
type item struct {
	event contract.Event
	at    Position
	// area, what and word are those of the subject.
	area, what, word string
	// change is the job after the event; empty for events of other areas.
	change contract.JobChange
}

// decode reads a stored message. A message that is no pack holds nothing for
// anybody.
func decode(m message) []item {
	words := strings.Split(m.subject, ".")
	var events []contract.Event
	err := fault.Guard(func() (err error) {
		events, err = contract.DecodeEvents(m.data)
		return err
	})
	if err != nil || len(words) != 5 {
		return nil
	}
	out := make([]item, 0, len(events))
	for i, e := range events {
		it := item{event: e, at: Position{m.sequence, i}, area: words[2], what: words[3], word: words[4]}
		if it.area == contract.AreaJob {
			// Data of another shape belongs to no job.
			_ = json.Unmarshal(e.Data, &it.change)
		}
		out = append(out, it)
	}
	return out
}

// encode is the item as its client gets it.
func (it item) encode() (Event, error) {
	data, err := contract.Encode(it.event)
	if err != nil {
		return Event{}, fmt.Errorf("encode event %s: %w", it.event.ID, err)
	}
	return Event{At: it.at, Type: it.event.Type, Data: data}, nil
}

// Filter selects events. Empty fields select everything.
type Filter struct {
	// Areas are the areas a client may see and wants.
	Areas []string
	// What is the second word of an event's type, such as succeeded or progress.
	What    string
	JobType string
	// Owner is who made the job, or, for events of other areas, who acted.
	Owner string
	// JobID selects the events of one job.
	JobID string
}

func (f Filter) wants(it item) bool {
	switch {
	case len(f.Areas) > 0 && !slices.Contains(f.Areas, it.area):
		return false
	case f.What != "" && f.What != it.what:
		return false
	case f.JobID != "" && f.JobID != it.change.JobID:
		return false
	case f.JobType != "" && (it.area != contract.AreaJob || f.JobType != it.word):
		return false
	}
	return f.Owner == "" || f.Owner == it.owner()
}

func (it item) owner() string {
	if it.area == contract.AreaJob {
		return it.change.CreatedBy
	}
	return it.event.Actor
}

// subject is the narrowest pattern that matches everything the filter wants.
func (f Filter) subject() string {
	area := "*"
	if len(f.Areas) == 1 {
		area = f.Areas[0]
	}
	if area == "*" && f.What == "" && f.JobType == "" {
		return contract.PatternEvents
	}
	return strings.Join([]string{"nexus", "events", area, orAny(f.What), orAny(f.JobType)}, ".")
}

func orAny(word string) string {
	if word == "" {
		return "*"
	}
	return word
}
