package figure

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/resource"
)

// Figure is one measured value, as programs hand it to each other: a line of
// JSON.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Sheet collects figures, one value for each round. It belongs to one
// goroutine.
type Sheet struct {
	values map[string][]float64
	names  map[string]bool
	// each, when set, is told every figure as it is put.
	each func(Figure) error
	err  error
}

// NewSheet makes an empty sheet.
func NewSheet() *Sheet { return &Sheet{values: map[string][]float64{}, names: known()} }

// NewWriter makes a sheet that writes each figure to w as it is put.
func NewWriter(w io.Writer) *Sheet {
	s := NewSheet()
	encode := json.NewEncoder(w)
	s.each = func(f Figure) error { return encode.Encode(f) }
	return s
}

// Put adds a value. A name that is not in the catalogue is kept for Err.
func (s *Sheet) Put(name string, value float64) {
	if !s.names[name] {
		s.fail(fmt.Errorf("figure %q is not in the catalogue", name))
		return
	}
	s.values[name] = append(s.values[name], value)
	if s.each != nil {
		s.fail(s.each(Figure{Name: name, Value: value}))
	}
}

func (s *Sheet) fail(err error) {
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("keep figures: %w", err)
	}
}

// Err is the first error there was.
func (s *Sheet) Err() error { return s.err }

// Empty reports whether there is no figure yet.
func (s *Sheet) Empty() bool { return len(s.values) == 0 }

// PutLatencies adds the median and the 99th percentile; of no latency nothing.
func (s *Sheet) PutLatencies(name string, l *pace.Latencies) {
	if l.Count() == 0 {
		return
	}
	s.Put(P50(name), milliseconds(l.Quantile(.50)))
	s.Put(P99(name), milliseconds(l.Quantile(.99)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// PutRate adds a rate with what it cost. used is of a meter whose servers are
// the nexus process and Postgres, or Postgres alone.
func (s *Sheet) PutRate(name string, r pace.Result, used resource.Usage) {
	s.Put(name, r.PerSecond())
	share, ok := used.Others()
	if !ok || r.N == 0 {
		return
	}
	s.Put(OtherProcesses, share)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(r.N) }
	s.Put(CPUClient(name), each(used.Client))
	if n := len(used.Servers); n > 0 {
		s.Put(CPUPostgres(name), each(used.Servers[n-1]))
		if n > 1 {
			s.Put(CPUPlatform(name), each(used.Servers[0]))
		}
	}
}

// Median is the median of a figure's rounds; of an even number the mean of the
// middle two. ok is false when there is no value.
func (s *Sheet) Median(name string) (value float64, ok bool) {
	sorted := slices.Sorted(slices.Values(s.values[name]))
	n := len(sorted)
	if n == 0 {
		return 0, false
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, true
}

// Range is the least and the greatest value; both 0 when there is none.
func (s *Sheet) Range(name string) (least, greatest float64) {
	if len(s.values[name]) == 0 {
		return 0, 0
	}
	return slices.Min(s.values[name]), slices.Max(s.values[name])
}

// Load adds the figures another program writes, until it ends.
func (s *Sheet) Load(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var f Figure
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return fmt.Errorf("read a figure from %q: %w", lines.Text(), err)
		}
		s.Put(f.Name, f.Value)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	return s.Err()
}
