package door

import (
	"maps"
	"sync"
	"time"

	"nexus.internal/services/gateway/internal/limit"
)

const (
	// maxWaiting is how many messages of one owner wait for the owner's limit at
	// one gateway, and maxWait the longest that one of them does. More than that is
	// refused.
	maxWaiting = 500
	maxWait    = 10 * time.Minute
	// placeSlack is how long a place is kept for a message that is late: another
	// gateway may have got it.
	placeSlack = 30 * time.Second
	// dueSoon is how long before a place is due its owner is read.
	dueSoon = 2 * time.Second
)

// lines holds the places of messages that wait until their owner's limit lets
// them in. The messages themselves stay with the broker.
type lines struct {
	now func() time.Time

	mu sync.Mutex
	of map[string]*line
}

type line struct {
	// places says of each message, by its sequence, when it comes again.
	places map[uint64]time.Time
	// next is when the next place is due, every how far places are apart.
	next  time.Time
	every time.Duration
}

func newLines(now func() time.Time) *lines { return &lines{now: now, of: map[string]*line{}} }

// first reports whether a message may ask for a token now: it has a place, or
// nobody waits before it.
func (l *lines) first(owner string, sequence uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.of[owner]
	if line == nil {
		return true
	}
	now := l.now()
	maps.DeleteFunc(line.places, func(_ uint64, at time.Time) bool { return now.Sub(at) > placeSlack })
	if len(line.places) == 0 {
		delete(l.of, owner)
		return true
	}
	_, has := line.places[sequence]
	return has
}

// wait gives a message a place and returns how long it waits there. Where there is
// no place left, ok is false, and the message may be sent again after the wait. A
// verdict that was not asked for is the zero one.
func (l *lines) wait(owner string, sequence uint64, v limit.Verdict) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	ln := l.of[owner]
	if ln == nil {
		ln = &line{places: map[uint64]time.Time{}, every: time.Second}
		l.of[owner] = ln
	}
	if v.Limit > 0 {
		ln.every = time.Minute / time.Duration(v.Limit)
	}
	at := now.Add(max(v.Wait, ln.every, time.Millisecond))
	if _, again := ln.places[sequence]; again {
		ln.places[sequence] = at
		return at.Sub(now), true
	}
	if ln.next.After(at) {
		at = ln.next
	}
	if wait = at.Sub(now); len(ln.places) >= maxWaiting || wait > maxWait {
		return wait, false
	}
	ln.next = at.Add(ln.every)
	ln.places[sequence] = at
	return wait, true
}

// allWait reports whether all of an owner's n messages have places that are not due
// before long.
func (l *lines) allWait(owner string, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.of[owner]
	if ln == nil || len(ln.places) < n {
		return false
	}
	soon := l.now().Add(dueSoon)
	for _, at := range ln.places {
		if at.Before(soon) {
			return false
		}
	}
	return true
}

// leave takes a message out of its line.
func (l *lines) leave(owner string, sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln := l.of[owner]; ln != nil {
		delete(ln.places, sequence)
		if len(ln.places) == 0 {
			delete(l.of, owner)
		}
	}
}
