package worker

import (
	"context"
	"sync"
	"time"
)

// slots counts the jobs that may still be taken. Room is reserved before a
// message is fetched, so a worker never holds work that another could do.
//
// A message may carry several jobs. Room is reserved for as many as messages
// carried lately; when they turn out to carry more, the worker holds a few jobs
// too many for a moment and takes no more until it has run them.
type slots struct {
	mu       sync.Mutex
	total    int
	free     int
	fetches  int
	perMsg   float64
	notified chan struct{}
	// last is when the last fetch began.
	last time.Time
}

// fetchRest is how long after a fetch another one waits for a quarter of all
// slots; behind it less will do.
const fetchRest = 2 * time.Millisecond

// maxFetches bounds the fetch requests of one worker that wait at the broker.
const maxFetches = 4

func newSlots(total int) *slots {
	return &slots{total: total, free: total, perMsg: 1, notified: make(chan struct{}, 1)}
}

// reserve waits for room for a message and takes as much as there is: room for
// so many messages of unit jobs each. While another fetch is under way, and for
// a moment after the last one, it also waits for a quarter of all slots: many small
// requests cost more than one large one. Nothing is reserved until wanted holds;
// whoever changes what it says calls notify. It returns 0 messages when ctx has
// ended.
func (s *slots) reserve(ctx context.Context, wanted func() bool) (messages, unit int) {
	for ctx.Err() == nil {
		if wanted() {
			if messages, unit = s.tryReserve(); messages > 0 {
				return messages, unit
			}
		}
		select {
		case <-s.notified:
		case <-ctx.Done():
			return 0, 0
		}
	}
	return 0, 0
}

// take takes one slot if one is free.
func (s *slots) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free < 1 {
		return false
	}
	s.free--
	return true
}

func (s *slots) tryReserve() (messages, unit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unit = min(s.total, int(s.perMsg+0.5))
	need := unit
	early := time.Since(s.last) < fetchRest
	if s.fetches > 0 || early {
		need = max(unit, s.total/4)
	}
	if s.free < need || s.fetches >= maxFetches {
		if early && s.fetches == 0 {
			time.AfterFunc(fetchRest, s.notify)
		}
		return 0, 0
	}
	messages = s.free / unit
	s.free -= messages * unit
	s.fetches++
	s.last = time.Now()
	return messages, unit
}

// arrived corrects the room reserved for a message by what it carries, and
// remembers it: an average in which the last few messages count most.
func (s *slots) arrived(unit, jobs int) {
	s.mu.Lock()
	s.perMsg += (float64(max(1, jobs)) - s.perMsg) / 4
	s.free += unit - jobs
	s.mu.Unlock()
	s.notify()
}

// fetched ends a fetch and gives back the slots it did not use.
func (s *slots) fetched(unused int) {
	s.mu.Lock()
	s.fetches--
	s.free += unused
	s.mu.Unlock()
	s.notify()
}

// release gives back n slots.
func (s *slots) release(n int) {
	s.mu.Lock()
	s.free += n
	s.mu.Unlock()
	s.notify()
}

func (s *slots) notify() {
	select {
	case s.notified <- struct{}{}:
	default:
	}
}
