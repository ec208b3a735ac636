package plugin

import (
	"context"
	"fmt"
	"sync"
)

// slots bound the calls of one plugin that are at work at once. One that was
// given up on counts until it has returned, so a plugin that hangs cannot pile
// up goroutines.
type slots struct {
	most int

	mu                 sync.Mutex
	working, abandoned int
	// changed is closed, and made anew, whenever waiting may be over.
	changed chan struct{}
}

func newSlots(most int) *slots { return &slots{most: most, changed: make(chan struct{})} }

// acquire takes a slot. It waits for one that a working call holds, which is not
// for long, but not for those of calls that were given up on.
func (s *slots) acquire(ctx context.Context) error {
	for {
		changed, err := s.try()
		if err != nil || changed == nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for a plugin: %w", context.Cause(ctx))
		}
	}
}

// try takes a slot, or returns what to wait for.
func (s *slots) try() (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.abandoned >= s.most:
		return nil, Refusal(fmt.Sprintf("%d calls have not returned", s.abandoned))
	case s.working+s.abandoned >= s.most:
		return s.changed, nil
	default:
		s.working++
		return nil, nil
	}
}

// hung is how many calls were given up on and have not returned. full says that
// there is no slot left beside them.
func (s *slots) hung() (n int, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.abandoned, s.abandoned >= s.most
}

// tell wakes those who wait. The lock is held.
func (s *slots) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// turn is one use of a slot. Whoever comes first of its two ends decides whether
// the call was given up on.
type turn struct {
	slots            *slots
	ended, abandoned bool
}

func (t *turn) end() {
	t.slots.mu.Lock()
	defer t.slots.mu.Unlock()
	t.ended = true
	if t.abandoned {
		t.slots.abandoned--
	} else {
		t.slots.working--
	}
	t.slots.tell()
}

func (t *turn) abandon() {
	t.slots.mu.Lock()
	defer t.slots.mu.Unlock()
	if t.ended {
		return
	}
	t.abandoned = true
	t.slots.working--
	t.slots.abandoned++
	t.slots.tell()
}
