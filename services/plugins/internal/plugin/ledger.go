package plugin

import (
	"math"
	"slices"
	"sync"
	"time"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

const (
	// keptRuntimes is how many of the last runtimes the figures are made of.
	keptRuntimes = 256
	// keptErrors is how many failures are remembered.
	keptErrors = 10
)

// ledger remembers how the calls of one plugin went.
type ledger struct {
	mu              sync.Mutex
	calls, failures int64
	runtimes        []time.Duration
	errors          []contract.PluginError
}

func newLedger() *ledger { return &ledger{} }

func (l *ledger) succeeded(runtime time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.runtimes) < keptRuntimes {
		l.runtimes = append(l.runtimes, runtime)
	} else {
		l.runtimes[l.calls%keptRuntimes] = runtime
	}
	l.calls++
}

func (l *ledger) failed(name layer.Name, f failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	if len(l.errors) == keptErrors {
		l.errors = slices.Delete(l.errors, 0, 1)
	}
	l.errors = append(l.errors, contract.PluginError{Time: time.Now().UTC(), Layer: string(name), Error: string(f)})
}

// read returns the figures, and the failures, newest first.
func (l *ledger) read() (contract.PluginLatency, []contract.PluginError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	latency := contract.PluginLatency{Calls: l.calls, Failures: l.failures}
	if sorted := slices.Sorted(slices.Values(l.runtimes)); len(sorted) > 0 {
		var sum time.Duration
		for _, r := range sorted {
			sum += r
		}
		latency.AvgMS = milliseconds(sum / time.Duration(len(sorted)))
		latency.P95MS = milliseconds(sorted[(len(sorted)*95-1)/100])
		latency.MaxMS = milliseconds(sorted[len(sorted)-1])
	}
	failures := append([]contract.PluginError{}, l.errors...)
	slices.Reverse(failures)
	return latency, failures
}

// milliseconds rounds to microseconds.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
