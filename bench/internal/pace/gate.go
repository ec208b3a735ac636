package pace

import "context"

// Gate bounds how many jobs are outstanding between those who submit and those
// who see them done.
type Gate struct{ places chan struct{} }

// NewGate makes a gate with room for n jobs.
func NewGate(n int) *Gate { return &Gate{make(chan struct{}, n)} }

// Enter waits for room for n jobs. It returns false when ctx ends first; places
// taken by then stay taken.
func (g *Gate) Enter(ctx context.Context, n int) bool {
	for range n {
		select {
		case g.places <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Leave gives back n places. More than were taken is no error: the end of a job
// can be announced twice.
func (g *Gate) Leave(n int) {
	for range n {
		select {
		case <-g.places:
		default:
			return
		}
	}
}

// Outstanding is how many places are taken.
func (g *Gate) Outstanding() int { return len(g.places) }
