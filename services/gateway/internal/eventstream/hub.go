package eventstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

const (
	// waiting bounds the events that wait for one client.
	waiting = 256
	// tick is how often the stream is read without a sign of anything new: signs
	// can be lost.
	tick = 2 * time.Second
	// A sign can come before the message is stored: reading again starts after
	// firstLook and doubles up to lastLook.
	firstLook, lastLook = time.Millisecond, 128 * time.Millisecond
	// readPause is how long the reader rests when the broker does not answer.
	readPause = 500 * time.Millisecond
)

// Hub reads the event stream once for all clients of the process, and only
// while there are any. It is a run.Component.
type Hub struct {
	nc     *nats.Conn
	stored log
	log    zerolog.Logger
	// bell rings when there may be something new.
	bell chan struct{}

	// joining is held while the first client's place is looked up.
	joining sync.Mutex
	mu      sync.Mutex
	next    uint64
	// epoch changes when next is set anew.
	epoch int
	all   map[*subscription]struct{}
	jobs  map[string]map[*subscription]struct{}
	count int
}

// NewHub makes a hub.
func NewHub(nc *nats.Conn, logger zerolog.Logger) *Hub {
	return &Hub{
		nc: nc, stored: log{nc}, log: logger, bell: make(chan struct{}, 1),
		all: map[*subscription]struct{}{}, jobs: map[string]map[*subscription]struct{}{},
	}
}

// subscription is one client's share of the live events.
type subscription struct {
	filter Filter
	// ch is closed when the client cannot keep up, or when the stream began anew.
	ch   chan item
	gone bool
}

// join hands over live events from the sequence next on.
func (h *Hub) join(ctx context.Context, filter Filter) (sub *subscription, next uint64, err error) {
	h.joining.Lock()
	defer h.joining.Unlock()
	sub = &subscription{filter: filter, ch: make(chan item, waiting)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == 0 {
		h.mu.Unlock()
		last, err := h.stored.last(ctx)
		h.mu.Lock()
		if err != nil {
			return nil, 0, err
		}
		h.next, h.epoch = last+1, h.epoch+1
	}
	h.add(sub)
	h.ring()
	return sub, h.next, nil
}

func (h *Hub) add(sub *subscription) {
	h.count++
	if sub.filter.JobID == "" {
		h.all[sub] = struct{}{}
		return
	}
	if h.jobs[sub.filter.JobID] == nil {
		h.jobs[sub.filter.JobID] = map[*subscription]struct{}{}
	}
	h.jobs[sub.filter.JobID][sub] = struct{}{}
}

func (h *Hub) leave(sub *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(sub)
}

func (h *Hub) remove(sub *subscription) {
	if sub.gone {
		return
	}
	sub.gone = true
	h.count--
	close(sub.ch)
	delete(h.all, sub)
	if of := h.jobs[sub.filter.JobID]; of != nil {
		if delete(of, sub); len(of) == 0 {
			delete(h.jobs, sub.filter.JobID)
		}
	}
}

func (h *Hub) ring() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// Name implements run.Component.
func (h *Hub) Name() string { return "event reader" }

// Run implements run.Component.
func (h *Hub) Run(ctx context.Context, ready func()) error {
	ready()
	for ctx.Err() == nil {
		select {
		case <-h.bell:
			h.follow(ctx)
		case <-ctx.Done():
		}
	}
	return nil
}

// follow reads as long as there are clients.
func (h *Hub) follow(ctx context.Context) {
	// The messages themselves are taken from the stream, where each has its place.
	sub, err := h.nc.Subscribe(contract.PatternEvents, func(*nats.Msg) { h.ring() })
	if err != nil {
		h.log.Warn().Err(err).Msg("events are read without signs of new ones")
	} else {
		defer func() {
			if err := sub.Unsubscribe(); err != nil && !h.nc.IsClosed() {
				h.log.Warn().Err(err).Msg("could not stop listening for events")
			}
		}()
	}
	look, broken := firstLook, false
	for ctx.Err() == nil && h.wanted() {
		n, err := h.step(ctx)
		switch {
		case err != nil:
			if !broken && ctx.Err() == nil {
				h.log.Warn().Err(err).Msg("events cannot be read now; clients wait")
			}
			broken = true
			h.rest(ctx, readPause, false)
		case n > 0:
			look, broken = firstLook, false
		case look <= lastLook:
			h.rest(ctx, look, false)
			look *= 2
		default:
			broken = false
			if rang := h.rest(ctx, tick, true); rang {
				look = firstLook
			} else {
				h.checkPlace(ctx)
			}
		}
	}
}

// rest waits, or returns true when the bell rings first and may wake it.
func (h *Hub) rest(ctx context.Context, d time.Duration, wake bool) (rang bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	bell := h.bell
	if !wake {
		bell = nil
	}
	select {
	case <-timer.C:
	case <-bell:
		return true
	case <-ctx.Done():
	}
	return false
}

func (h *Hub) wanted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count > 0
}

// step reads once and hands over what it found.
func (h *Hub) step(ctx context.Context) (found int, err error) {
	h.mu.Lock()
	from, epoch := h.next, h.epoch
	h.mu.Unlock()
	messages, _, err := h.stored.read(ctx, contract.PatternEvents, from)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		items := decode(m)
		h.mu.Lock()
		if epoch != h.epoch {
			h.mu.Unlock()
			return 0, nil
		}
		for _, it := range items {
			h.hand(it)
		}
		h.next = m.sequence + 1
		h.mu.Unlock()
	}
	return len(messages), nil
}

// hand gives an event to everybody who wants it. Whoever has no room for it is
// let go: waiting for one would hold up all.
func (h *Hub) hand(it item) {
	give := func(sub *subscription) {
		if !sub.filter.wants(it) {
			return
		}
		select {
		case sub.ch <- it:
		default:
			h.remove(sub)
		}
	}
	for sub := range h.all {
		give(sub)
	}
	if it.change.JobID != "" {
		for sub := range h.jobs[it.change.JobID] {
			give(sub)
		}
	}
}

// checkPlace lets all clients go when the stream counts from the beginning
// again, as it does after the broker has lost it.
func (h *Hub) checkPlace(ctx context.Context) {
	h.mu.Lock()
	epoch, next := h.epoch, h.next
	h.mu.Unlock()
	last, err := h.stored.last(ctx)
	if err != nil || last == 0 || last+1 >= next {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if epoch != h.epoch {
		return
	}
	h.log.Warn().Uint64("last", last).Uint64("next", next).Msg("the event stream began anew; clients must, too")
	for sub := range h.all {
		h.remove(sub)
	}
	for _, subs := range h.jobs {
		for sub := range subs {
			h.remove(sub)
		}
	}
}

// ErrBehind means that a client did not keep up with the events. It may go on
// from the last one it got.
var ErrBehind = errors.New("the client is too far behind")
