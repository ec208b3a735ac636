package worker

import "sync"

// Limit bounds how many jobs the workers that share it run in all. A nil Limit
// bounds nothing.
type Limit struct {
	mu sync.Mutex
	// left may still be taken; taken and not ended are the jobs in hand.
	left, taken, ended int
	done               chan struct{}
}

// NewLimit allows n jobs, at least one.
func NewLimit(n int) *Limit { return &Limit{left: max(n, 1), done: make(chan struct{})} }

// Done is closed once as many jobs as allowed have been run and reported.
func (l *Limit) Done() <-chan struct{} { return l.done }

// Processed is how many jobs have been run and reported, whatever came of them.
func (l *Limit) Processed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// Idle reports whether no job is in hand.
func (l *Limit) Idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken == l.ended
}

func (l *Limit) open() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left > 0
}

func (l *Limit) take() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		return false
	}
	l.left--
	l.taken++
	return true
}

// settle ends a job that was taken; one that did not run may be replaced by
// another.
func (l *Limit) settle(ran bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ran {
		l.left++
		l.taken--
		return
	}
	if l.ended++; l.left == 0 && l.taken == l.ended {
		close(l.done)
	}
}
