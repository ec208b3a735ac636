// Package deadletter shows dead letters, replays and discards them.
//
// Who may ask does not belong here: the door has decided that.
package deadletter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/audit/internal/store"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxWord bounds what is looked for, in bytes; longer reasons and subjects are not kept.
	maxWord = 1024
)

// Store is where dead letters are kept.
type Store interface {
	DeadLetters(ctx context.Context, q contract.DeadLetterQuery, before int64) ([]contract.DeadLetterSummary, error)
	DeadLetter(ctx context.Context, id int64) (store.Letter, error)
	Mark(ctx context.Context, id int64, what string, by contract.Asker, do func(store.Letter) error) (store.Letter, error)
}

// Publisher publishes messages and returns once the broker has them.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Letters answers about dead letters.
type Letters struct {
	store Store
	pub   Publisher
	now   func() time.Time
}

// New makes them.
func New(st Store, pub Publisher, now func() time.Time) *Letters { return &Letters{st, pub, now} }

// List is a page of dead letters, the last kept first.
func (l *Letters) List(ctx context.Context, q contract.DeadLetterQuery) (contract.DeadLettersReply, error) {
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	before, err := check(q)
	if err != nil {
		return contract.DeadLettersReply{}, err
	}
	asked := q.Limit
	// A page must fit a message, and its largest summaries have some kilobytes.
	q.Limit = min(q.Limit, 200)
	found, err := l.store.DeadLetters(ctx, q, before)
	if err != nil {
		return contract.DeadLettersReply{}, err
	}
	reply := contract.DeadLettersReply{DeadLetters: found, Limit: asked}
	if len(found) == q.Limit {
		reply.Limit = q.Limit
		reply.NextCursor = strconv.FormatInt(found[len(found)-1].ID, 36)
	}
	return reply, nil
}

func check(q contract.DeadLetterQuery) (before int64, err error) {
	if q.Limit < 1 || q.Limit > maxLimit {
		return 0, fault.Unprocessablef("limit is %d: want 1 to %d", q.Limit, maxLimit)
	}
	for _, word := range []string{q.Service, q.Reason, q.Origin} {
		if len(word) > maxWord || strings.ContainsRune(word, 0) || !utf8.ValidString(word) {
			return 0, fault.Unprocessablef("service, reason and subject are texts of up to %d bytes without NUL characters", maxWord)
		}
	}
	for _, t := range []*time.Time{q.After, q.Before} {
		if t != nil && !contract.ValidTime(*t) {
			return 0, fault.Unprocessablef("after and before must be within the years 1 to 9999")
		}
	}
	if q.Cursor == "" {
		return 0, nil
	}
	if before, err = strconv.ParseInt(q.Cursor, 36, 64); err != nil || before < 1 {
		return 0, fault.Unprocessablef("cursor is not one that a page of this list has given")
	}
	return before, nil
}

// Get is one dead letter.
func (l *Letters) Get(ctx context.Context, req contract.DeadLetterRequest) (contract.DeadLetter, error) {
	letter, err := l.store.DeadLetter(ctx, req.ID)
	if err != nil {
		return contract.DeadLetter{}, known(req.ID, err)
	}
	return shown(letter)
}

func known(id int64, err error) error {
	if errors.Is(err, store.ErrUnknown) {
		return fault.NotFoundf("There is no dead letter %d.", id)
	}
	return err
}

func shown(l store.Letter) (contract.DeadLetter, error) {
	headers, err := headersOf(l)
	out := contract.DeadLetter{DeadLetterSummary: l.Summary, Headers: headers, Marks: l.Marks, Encoding: "text"}
	if err != nil {
		return out, err
	}
	if utf8.Valid(l.Body) {
		out.Body = contract.Cut(string(l.Body), contract.MaxDeadLetterShown)
		out.Shown = len(out.Body)
		return out, nil
	}
	part := l.Body[:min(len(l.Body), contract.MaxDeadLetterShown)]
	out.Encoding, out.Body, out.Shown = "base64", base64.StdEncoding.EncodeToString(part), len(part)
	return out, nil
}

// Replay publishes a dead letter again where it was first published.
func (l *Letters) Replay(ctx context.Context, req contract.MarkDeadLetterRequest) (contract.DeadLetter, error) {
	return l.mark(ctx, req, contract.WhatReplayed, func(letter store.Letter) ([]bus.Message, error) {
		s := letter.Summary
		if err := replayable(s, req.Force); err != nil {
			return nil, err
		}
		// A replay whose mark was not committed has the same id when it is
		// repeated, and the stream takes it once.
		id := fmt.Sprintf("replay.%d.%d", s.ID, s.Replays+1)
		headers, err := headersOf(letter)
		if err != nil {
			return nil, err
		}
		return []bus.Message{{
			Subject: s.Subject, ID: id, Body: letter.Body, RequestID: headers.Get(contract.HeaderRequestID),
			TraceParent: telemetry.TraceParent(telemetry.FromHeader(ctx, headers)),
		}}, nil
	})
}

// headersOf are the headers that a letter kept.
func headersOf(l store.Letter) (nats.Header, error) {
	var h nats.Header
	if err := json.Unmarshal(l.Headers, &h); err != nil {
		return nil, fmt.Errorf("decode the headers of dead letter %d: %w", l.Summary.ID, err)
	}
	return h, nil
}

// sources lists the subjects that a service sets messages aside from. A letter
// that claims another origin is not believed: it could make us say what its
// service may not.
func sources(service string) []string {
	switch service {
	case "gateway":
		return []string{"nexus.submit."}
	case "jobs":
		return []string{"nexus.cmd.", "nexus.run."}
	case "corpus", "plugins":
		return []string{"nexus.run."}
	case "audit":
		return []string{"nexus.events."}
	default:
		return nil
	}
}

func replayable(s contract.DeadLetterSummary, force bool) error {
	switch {
	case !ours(s):
		return fault.Conflictf("Dead letter %d cannot be replayed: messages to its subject are not replayed for '%s'.", s.ID, s.Service)
	case s.KeptSize < s.BodySize:
		return fault.Conflictf("Dead letter %d cannot be replayed: %d of its %d bytes are kept.", s.ID, s.KeptSize, s.BodySize)
	case s.Replays > 0 && !force:
		return fault.Conflictf("Dead letter %d was replayed already; force replays it again.", s.ID)
	case s.Discarded && !force:
		return fault.Conflictf("Dead letter %d was discarded; force replays it all the same.", s.ID)
	}
	return nil
}

// ours reports whether the subject is one that the letter's service reads, and
// can be published to: no wildcards, no empty words.
func ours(s contract.DeadLetterSummary) bool {
	for _, word := range strings.Split(s.Subject, ".") {
		if !contract.ValidToken(word) {
			return false
		}
	}
	for _, prefix := range sources(s.Service) {
		if strings.HasPrefix(s.Subject, prefix) {
			return true
		}
	}
	return false
}

// Discard hides a dead letter from the list.
func (l *Letters) Discard(ctx context.Context, req contract.MarkDeadLetterRequest) (contract.DeadLetter, error) {
	return l.mark(ctx, req, contract.WhatDiscarded, func(letter store.Letter) ([]bus.Message, error) {
		if letter.Summary.Discarded {
			return nil, fault.Conflictf("Dead letter %d was discarded already.", req.ID)
		}
		return nil, nil
	})
}

// mark does something with a letter, tells the audit trail and marks the letter.
func (l *Letters) mark(ctx context.Context, req contract.MarkDeadLetterRequest, what string, do func(store.Letter) ([]bus.Message, error)) (contract.DeadLetter, error) {
	letter, err := l.store.Mark(ctx, req.ID, what, req.Asker, func(letter store.Letter) error {
		messages, err := do(letter)
		if err != nil {
			return err
		}
		change := contract.DeadLetterChange{DeadLetterID: req.ID, Subject: letter.Summary.Subject, Address: req.Address}
		if len(messages) > 0 {
			change.MessageID = messages[0].ID
		}
		event, err := l.event(req, what, len(letter.Marks)+1, change)
		if err != nil {
			return err
		}
		// The trail is told first: nothing is done behind its back.
		return l.pub.Publish(ctx, append([]bus.Message{event}, messages...)...)
	})
	if err != nil {
		return contract.DeadLetter{}, known(req.ID, err)
	}
	return shown(letter)
}

func (l *Letters) event(req contract.MarkDeadLetterRequest, what string, nth int, change contract.DeadLetterChange) (bus.Message, error) {
	data, err := json.Marshal(change)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode what was done with dead letter %d: %w", req.ID, err)
	}
	return bus.EventMessage(contract.AreaDeadLetter, what, strconv.FormatInt(req.ID, 10), contract.Event{
		ID: fmt.Sprintf("dead_letter/%d/%d/%s", req.ID, nth, what), Type: contract.EventType(contract.AreaDeadLetter, what),
		Time: l.now().UTC(), Source: "nexus.audit", Actor: req.Actor, RequestID: req.RequestID, Data: data,
	})
}
