package bus

import "sync"

// maxTried bounds the messages that a Tries remembers.
const maxTried = 20_000

// Tries counts how often messages met an error that is nobody's absence. Deliveries
// are no measure of that: while something is away a message may come a thousand
// times, and none of them counts. The counts are of one process, so each of several
// gives a message all its tries.
type Tries struct {
	most int

	mu   sync.Mutex
	seen map[string]int
}

// NewTries makes a count that is over at most tries of a message.
func NewTries(most int) *Tries { return &Tries{most: most, seen: map[string]int{}} }

// Over counts a try and reports whether it was the last.
func (t *Tries) Over(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.seen) >= maxTried {
		// Rather a few more tries than memory without a bound.
		clear(t.seen)
	}
	t.seen[id]++
	return t.seen[id] >= t.most
}

// Done forgets a message that is settled.
func (t *Tries) Done(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seen, id)
}
