package httpapi

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"nexus.internal/services/gateway/internal/limit"
)

// network is the part of an address that one client can hardly change: the whole
// of an IPv4 address, the first 64 bits of an IPv6 one.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.Addr().String()
}

// maxBlocked bounds the addresses remembered as blocked.
const maxBlocked = 100_000

// Bucket takes a token out of a bucket that holds across replicas.
type Bucket interface {
	Allow(ctx context.Context, bucket string, perMinute int) limit.Verdict
}

// guesses slows down whoever guesses keys.
type guesses struct {
	buckets   Bucket
	perMinute int
	now       func() time.Time

	mu    sync.RWMutex
	until map[string]time.Time
}

func newGuesses(buckets Bucket, perMinute int, now func() time.Time) *guesses {
	return &guesses{buckets: buckets, perMinute: perMinute, now: now, until: map[string]time.Time{}}
}

// blocked reports whether an address has failed too often, and for how long it
// has to wait.
func (g *guesses) blocked(address string) (time.Duration, bool) {
	g.mu.RLock()
	until, ok := g.until[network(address)]
	g.mu.RUnlock()
	wait := until.Sub(g.now())
	return wait, ok && wait > 0
}

// failed counts a failure of an address.
func (g *guesses) failed(ctx context.Context, address string) (time.Duration, bool) {
	from := network(address)
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
