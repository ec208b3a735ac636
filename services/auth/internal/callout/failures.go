package callout

import (
	"context"
	"sync"
	"time"

	"nexus.internal/libs/identity"
)

const (
	// perMinute is how many logins of one address may fail before further ones
	// are slowed down.
	perMinute = 30
	// maxAddresses bounds the addresses counted; the rest are counted together.
	maxAddresses = 100_000
	// holdFor is how long the answer to such a failure waits. With the check
	// before it, it must end before the patience of the server does.
	holdFor = time.Second
	// maxChecks is how many keys are checked at once, maxHeld how many answers
	// wait.
	maxChecks = 32
	maxHeld   = 1000
)

// failures slow down whoever guesses keys, and nobody else: many may share an
// address, so no key is refused, or kept waiting, for what others did there.
type failures struct {
	now    func() time.Time
	checks chan struct{}
	held   chan struct{}

	mu     sync.Mutex
	since  time.Time
	counts map[string]int
}

func newFailures(now func() time.Time) *failures {
	return &failures{now: now, checks: make(chan struct{}, maxChecks), held: make(chan struct{}, maxHeld), counts: map[string]int{}}
}

// check waits until a key may be checked; done must be called afterwards. It
// reports false where that took too long.
func (f *failures) check(ctx context.Context) (done func(), ok bool) {
	select {
	case f.checks <- struct{}{}:
		return func() { <-f.checks }, true
	case <-ctx.Done():
		return nil, false
	}
}

// count counts a failure of an address and reports whether it is one too many.
func (f *failures) count(address string) bool {
	from := identity.Network(address)
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.since) >= time.Minute {
		f.since = now
		clear(f.counts)
	}
	if _, known := f.counts[from]; !known && len(f.counts) >= maxAddresses {
		from = ""
	}
	f.counts[from]++
	return f.counts[from] > perMinute
}

// hold makes an answer wait.
func (f *failures) hold(ctx context.Context) {
	select {
	case f.held <- struct{}{}:
	default:
		return
	}
	defer func() { <-f.held }()
	timer := time.NewTimer(holdFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
