package httpapi

import (
	"context"
	"maps"
	"sync"
	"time"

	"nexus.internal/libs/identity"
	"nexus.internal/services/gateway/internal/limit"
)

const (
	// maxBlocked bounds the addresses remembered as blocked, and those where
	// checks wait their turn.
	maxBlocked = 100_000
	// maxFamiliar bounds the keys remembered as once good.
	maxFamiliar = 10_000
	// turnEvery is the time between two checks of unknown keys from an address
	// that has failed too often, longestTurn the longest wait for one.
	turnEvery   = 10 * time.Millisecond
	longestTurn = 5 * time.Second
	// holdFor is how long a failure from such an address waits for its answer,
	// and maxHeld how many wait at once.
	holdFor = time.Second
	maxHeld = 1000
)

// Bucket takes a token out of a bucket that holds across replicas.
type Bucket interface {
	Allow(ctx context.Context, bucket string, perMinute int) limit.Verdict
}

// guesses slows down whoever guesses keys, and nobody else: a key is checked even
// where others have failed too often, only not at once.
type guesses struct {
	buckets   Bucket
	perMinute int
	now       func() time.Time
	held      chan struct{}

	mu sync.RWMutex
	// until is how long an address is blocked, by the clock of the limits.
	until map[string]time.Time
	// turns is when the next check of an address may be made.
	turns map[string]time.Time
	// good holds the hashes of keys that were good when they were last checked.
	good map[string]struct{}
}

func newGuesses(buckets Bucket, perMinute int, now func() time.Time) *guesses {
	return &guesses{buckets: buckets, perMinute: perMinute, now: now, held: make(chan struct{}, maxHeld), until: map[string]time.Time{}, turns: map[string]time.Time{}, good: map[string]struct{}{}}
}

// blocked reports whether an address has failed too often, and for how long it
// has to wait.
func (g *guesses) blocked(address string) (time.Duration, bool) {
	g.mu.RLock()
	until, ok := g.until[identity.Network(address)]
	g.mu.RUnlock()
	wait := until.Sub(g.now())
	return wait, ok && wait > 0
}

// turn waits until a key from an address may be checked. It reports false where
// so many wait already that it would take too long.
func (g *guesses) turn(ctx context.Context, address string) bool {
	from, now := identity.Network(address), time.Now()
	g.mu.Lock()
	at, known := g.turns[from]
	if !known && len(g.turns) >= maxBlocked {
		maps.DeleteFunc(g.turns, func(_ string, at time.Time) bool { return at.Before(now) })
		if len(g.turns) >= maxBlocked {
			// The rest take turns together.
			from = ""
			at = g.turns[from]
		}
	}
	if at.Before(now) {
		at = now
	}
	wait := at.Sub(now)
	if wait <= longestTurn {
		g.turns[from] = at.Add(turnEvery)
	}
	g.mu.Unlock()
	return wait <= longestTurn && sleep(ctx, wait)
}

// hold makes the answer to a failure wait: whoever guesses has to wait for it, or
// to open another connection.
func (g *guesses) hold(ctx context.Context) {
	select {
	case g.held <- struct{}{}:
		sleep(ctx, holdFor)
		<-g.held
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// familiar says that a key was good when it was last checked; it is not a guess.
func (g *guesses) familiar(hash string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, ok := g.good[hash]
	return ok
}

// met remembers a key that was good.
func (g *guesses) met(hash string) {
	if hash == "" || g.familiar(hash) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.good) >= maxFamiliar {
		clear(g.good)
	}
	g.good[hash] = struct{}{}
}

// forget drops a key that is no longer good.
func (g *guesses) forget(hash string) {
	if g.familiar(hash) {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.good, hash)
	}
}

// failed counts a failure of an address.
func (g *guesses) failed(ctx context.Context, address string) (time.Duration, bool) {
	from := identity.Network(address)
	v := g.buckets.Allow(ctx, "address:"+from, g.perMinute)
	if v.Allowed {
		return 0, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.until) >= maxBlocked {
		for old, until := range g.until {
			if !until.After(g.now()) {
				delete(g.until, old)
			}
		}
	}
	if len(g.until) < maxBlocked {
		g.until[from] = g.now().Add(v.Wait)
	}
	return v.Wait, true
}
