package pace

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Latencies collects durations. Its methods may be called from any goroutine.
type Latencies struct {
	mu    sync.Mutex
	taken []time.Duration
}

// Add adds one.
func (l *Latencies) Add(d time.Duration) {
	l.mu.Lock()
	l.taken = append(l.taken, d)
	l.mu.Unlock()
}

// Count is how many there are.
func (l *Latencies) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.taken)
}

// Quantile is the smallest latency that at least the share q, from 0 to 1, did
// not exceed (nearest rank); 0 when there is none.
func (l *Latencies) Quantile(q float64) time.Duration {
	l.mu.Lock()
	sorted := slices.Clone(l.taken)
	l.mu.Unlock()
	slices.Sort(sorted)
	return quantile(sorted, q)
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
