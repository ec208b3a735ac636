package worker

import (
	"context"
	"sync"
)

// slots counts the handlers that may still be started. Room is reserved before
// a message is fetched, so a worker never holds work that another could do.
type slots struct {
	mu       sync.Mutex
	total    int
	free     int
	fetches  int
	notified chan struct{}
}

// maxFetches bounds the fetch requests of one worker that wait at the broker.
const maxFetches = 4

func newSlots(total int) *slots {
	return &slots{total: total, free: total, notified: make(chan struct{}, 1)}
}

// reserve waits for room for at least unit slots and takes as many whole units
// as are free. While another fetch is waiting it also waits for a quarter of
// all slots: many small requests cost more than one large one. It returns 0
// when ctx has ended.
func (s *slots) reserve(ctx context.Context, unit int) int {
	for {
		if n := s.tryReserve(unit); n > 0 {
			return n
		}
		select {
		case <-s.notified:
		case <-ctx.Done():
			return 0
		}
	}
}

func (s *slots) tryReserve(unit int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	need := unit
	if s.fetches > 0 {
		need = max(unit, s.total/4)
	}
	if s.free < need || s.fetches >= maxFetches {
		return 0
	}
	n := s.free / unit
	s.free -= n * unit
	s.fetches++
	return n
}

// fetched ends a fetch and gives back the slots it did not use.
func (s *slots) fetched(unused int) {
	s.mu.Lock()
	s.fetches--
	s.free += unused
	s.mu.Unlock()
	s.notify()
}

// release gives back n slots; a negative n takes them without waiting.
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
