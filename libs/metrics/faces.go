package metrics

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/common/expfmt"
)

// ContentType is that of the Prometheus exposition.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Exposition is everything measured so far, in the text format of Prometheus. Those
// who ask at the same time get the same one. It is empty where nothing is measured.
func (p *Provider) Exposition() ([]byte, error) {
	if p == nil {
		return nil, nil
	}
	text, err, _ := p.gather.Do("", func() (any, error) {
		families, err := p.registry.Gather()
		if err != nil && len(families) == 0 {
			return nil, fmt.Errorf("gather the metrics: %w", err)
		}
		var out bytes.Buffer
		for _, family := range families {
			if _, err := expfmt.MetricFamilyToText(&out, family); err != nil {
				return nil, fmt.Errorf("write the metrics: %w", err)
			}
		}
		return out.Bytes(), nil
	})
	if err != nil {
		return nil, err
	}
	written, _ := text.([]byte)
	return written, nil
}

// Snapshot is a small view of what was measured. What was not is not in it.
type Snapshot struct {
	Counters map[string]int64  `json:"counters" doc:"How often things happened since the process started, by name, such as http.status.200."`
	Timings  map[string]Timing `json:"timings" doc:"How long things took, by name, such as http.request.ms."`
	// The figures of all database pools of the process together.
	PoolSize       *int64 `json:"db.pool.size,omitempty" doc:"Connections that the database pools of the process keep open, together."`
	PoolCheckedOut *int64 `json:"db.pool.checked_out,omitempty" doc:"Connections that are in use now."`
	PoolOverflow   *int64 `json:"db.pool.overflow,omitempty" doc:"Connections that are open beyond the size of the pools."`
}

// Timing is how long something took.
type Timing struct {
	Count int64   `json:"count" doc:"How often it was measured since the process started."`
	AvgMS float64 `json:"avg_ms" doc:"The average of all of them, in milliseconds."`
	P95MS float64 `json:"p95_ms" doc:"What 95 of 100 of the latest ones did not exceed, in milliseconds."`
}

// Snapshot looks at what the catalog gives a name in it.
func (p *Provider) Snapshot() Snapshot {
	out := Snapshot{Counters: map[string]int64{}, Timings: map[string]Timing{}}
	if p == nil {
		return out
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.counters {
		d := c.series.def
		if d.Snapshot == "" {
			continue
		}
		for value, n := range c.series.sums(d.SnapshotBy) {
			name := d.Snapshot
			if value != "" {
				name += "." + value
			}
			out.Counters[name] = n
		}
	}
	for _, h := range p.histograms {
		if h.recent == nil {
			continue
		}
		if t := h.recent.timing(); t.Count > 0 {
			out.Timings[h.series.def.Snapshot+".ms"] = t
		}
	}
	out.PoolSize, out.PoolCheckedOut, out.PoolOverflow = p.sum(PoolSize), p.sum(PoolCheckedOut), p.sum(PoolOverflow)
	return out
}

// sum adds up the values of a gauge; nil where there are none.
func (p *Provider) sum(name string) *int64 {
	o := p.observed[name]
	if o == nil {
		return nil
	}
	var total *int64
	o.each(func(_ *entry, value float64) {
		if total == nil {
			total = new(int64)
		}
		*total += int64(value)
	})
	return total
}

// window is how many of the latest observations the percentile is taken of.
const window = 2048

// recent remembers the latest observations, and the sum of all.
type recent struct {
	mu    sync.Mutex
	last  [window]float64
	count int64
	sum   float64
}

func (r *recent) add(seconds float64) {
	r.mu.Lock()
	r.last[r.count%window] = seconds
	r.count++
	r.sum += seconds
	r.mu.Unlock()
}

// timing is the count, the average and the 95th percentile, by nearest rank.
func (r *recent) timing() Timing {
	r.mu.Lock()
	count, sum := r.count, r.sum
	last := slices.Clone(r.last[:min(count, window)])
	r.mu.Unlock()
	if count == 0 {
		return Timing{}
	}
	slices.Sort(last)
	rank := (len(last)*95 + 99) / 100
	return Timing{Count: count, AvgMS: milliseconds(sum / float64(count)), P95MS: milliseconds(last[rank-1])}
}

// milliseconds rounds to microseconds.
func milliseconds(seconds float64) float64 { return math.Round(seconds*1e6) / 1e3 }
