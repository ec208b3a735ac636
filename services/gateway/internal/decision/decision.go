// Package decision tells the audit trail who was let in and who was not.
// Decisions that say the same are counted and told once a second, so that a
// million good requests cost a thousand events and no request waits for one.
//
// What was decided, and why, does not belong here.
package decision

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
)

const (
	// tellEvery is how long decisions are counted before they are told.
	tellEvery = time.Second
	// maxKinds bounds the different decisions counted at once; further ones are
	// counted together with others of their outcome.
	maxKinds = 10_000
	// publishWithin bounds the telling.
	publishWithin = 5 * time.Second
	// anonymous is the actor and the role of whoever was not known.
	anonymous = "anonymous"
	// various stands for what differs between decisions counted together.
	various = "various"
)

// Decision is one answer to who may do what. Decisions that are equal in all
// but RequestID, TraceParent and Detail are counted together.
type Decision struct {
	// What is contract.WhatAuthSuccess, WhatAuthFailure or WhatAuthDenied.
	What          string
	Actor         string
	KeyHashPrefix string
	Role          string
	RequiredRole  string
	Endpoint      string
	Address       string
	Detail        string
	RequestID     string
	TraceParent   string
}

type kind struct {
	what, actor, prefix, role, required, endpoint, address string
}

func (d Decision) kind() kind {
	return kind{d.What, d.Actor, d.KeyHashPrefix, d.Role, d.RequiredRole, d.Endpoint, d.Address}
}

type counted struct {
	first Decision
	count int
	since time.Time
}

// Publisher publishes events.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Ledger is a run.Component.
type Ledger struct {
	pub Publisher
	log zerolog.Logger
	now func() time.Time

	mu   sync.Mutex
	open map[kind]*counted
}

// New makes a ledger.
func New(pub Publisher, log zerolog.Logger, now func() time.Time) *Ledger {
	return &Ledger{pub: pub, log: log, now: now, open: map[kind]*counted{}}
}

// Note counts a decision. It never waits.
func (l *Ledger) Note(d Decision) {
	if d.Actor == "" {
		d.Actor = anonymous
	}
	l.write(d, l.count(d))
}

// count reports whether a decision is the first of its kind since the last telling.
func (l *Ledger) count(d Decision) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := d.kind()
	c := l.open[k]
	if c == nil && len(l.open) >= maxKinds {
		d = Decision{What: d.What, Actor: various, Endpoint: various, Address: various}
		k = d.kind()
		c = l.open[k]
	}
	if c == nil {
		l.open[k] = &counted{first: d, count: 1, since: l.now().UTC()}
		return true
	}
	c.count++
	return false
}

// write logs a decision. Who was let in is said at debug, and so is a refusal that
// says what another one said a moment ago: whoever knocks without end must not fill
// the log.
func (l *Ledger) write(d Decision, first bool) {
	level := zerolog.DebugLevel
	if first && d.What != contract.WhatAuthSuccess {
		level = zerolog.InfoLevel
	}
	e := l.log.WithLevel(level)
	if !e.Enabled() {
		return
	}
	e.Str("actor", d.Actor).Str("route", d.Endpoint).Str("address", d.Address)
	for _, f := range [...]struct{ name, value string }{
		{"role", d.Role}, {telemetry.FieldRequestID, d.RequestID}, {telemetry.FieldTraceID, telemetry.TraceIDOf(d.TraceParent)},
	} {
		if f.value != "" {
			e.Str(f.name, f.value)
		}
	}
	e.Msg("auth " + d.What)
}

// Name implements run.Component.
func (l *Ledger) Name() string { return "auth decisions" }

// Run implements run.Component. What is counted when ctx ends is told before it
// returns; what was counted when a process is killed, a second's worth, is lost.
func (l *Ledger) Run(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.tell(ctx)
		case <-ctx.Done():
			l.tell(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (l *Ledger) tell(ctx context.Context) {
	l.mu.Lock()
	closed := l.open
	l.open = make(map[kind]*counted, len(closed))
	l.mu.Unlock()
	if len(closed) == 0 {
		return
	}
	messages, err := messagesOf(closed, l.now().UTC())
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, publishWithin)
		defer cancel()
		err = l.pub.Publish(ctx, messages...)
	}
	if err == nil {
		return
	}
	l.log.Error().Err(err).Int("decisions", len(closed)).Msg("auth events could not be published; they are told with the next ones")
	l.giveBack(closed)
}

// giveBack counts what could not be told together with what came since.
func (l *Ledger) giveBack(closed map[kind]*counted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, c := range closed {
		if newer := l.open[k]; newer != nil {
			c.count += newer.count
		} else if len(l.open) >= maxKinds {
			continue
		}
		l.open[k] = c
	}
}

// messagesOf packs the events by their subject: what happened, and the role.
func messagesOf(closed map[kind]*counted, now time.Time) ([]bus.Message, error) {
	type subject struct{ what, word string }
	groups := map[subject][]contract.Event{}
	for _, c := range closed {
		e, err := eventOf(c, now)
		if err != nil {
			return nil, err
		}
		word := c.first.Role
		if word == "" {
			word = anonymous
		}
		s := subject{c.first.What, word}
		groups[s] = append(groups[s], e)
	}
	var out []bus.Message
	for s, events := range groups {
		for len(events) > 0 {
			n := min(len(events), contract.MaxEventsPerMessage)
			m, err := bus.EventMessage(contract.AreaAuth, s.what, s.word, events[:n]...)
			if err != nil {
				return nil, err
			}
			out = append(out, m)
			events = events[n:]
		}
	}
	return out, nil
}

func eventOf(c *counted, now time.Time) (contract.Event, error) {
	d := c.first
	decided := contract.AuthDecision{
		KeyHashPrefix: d.KeyHashPrefix, Role: d.Role, RequiredRole: d.RequiredRole, Endpoint: d.Endpoint, Address: d.Address, Detail: d.Detail,
	}
	if c.count > 1 {
		decided.Count, decided.Since = c.count, &c.since
	}
	data, err := json.Marshal(decided)
	if err != nil {
		return contract.Event{}, fmt.Errorf("encode an auth event: %w", err)
	}
	return contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaAuth, d.What), Time: now, Source: "nexus.gateway",
		Actor: d.Actor, RequestID: d.RequestID, TraceParent: d.TraceParent, Data: data,
	}, nil
}
