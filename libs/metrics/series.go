package metrics

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"nexus.internal/libs/contract"
)

const (
	// maxValues is how many different values a label can have; those that come later
	// are counted together as other.
	maxValues = 200
	// maxValue is the longest value of a label, in bytes.
	maxValue = 128
	// other stands for the values that there is no room for.
	other = "other"
	// unknown stands for a value that is missing.
	unknown = "unknown"
	// maxLabels is the most labels of a metric.
	maxLabels = 5
)

// values remembers the values of labels, so that one that has series of its own has
// them in every metric.
type values struct {
	mu    sync.RWMutex
	known map[string]map[string]bool
}

func newValues() *values { return &values{known: map[string]map[string]bool{}} }

// admit makes a label value fit to be kept: short, valid UTF-8, and one of not too many.
func (v *values) admit(label, value string) string {
	if value == "" {
		return unknown
	}
	if len(value) > maxValue {
		value = contract.Cut(value, maxValue)
	}
	value = strings.ToValidUTF8(strings.ReplaceAll(value, "\x00", "\uFFFD"), "\uFFFD")
	v.mu.RLock()
	known, full := v.known[label][value], len(v.known[label]) >= maxValues
	v.mu.RUnlock()
	switch {
	case known:
		return value
	case full:
		return other
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known[label] == nil {
		v.known[label] = map[string]bool{}
	}
	if !v.known[label][value] && len(v.known[label]) >= maxValues {
		return other
	}
	v.known[label][value] = true
	return value
}

// labelled are the values of a metric's labels, in the order of the catalog.
type labelled [maxLabels]string

// entry is one series, with what the instruments want of it.
type entry struct {
	labels  labelled
	total   atomic.Int64
	add     []metric.AddOption
	record  []metric.RecordOption
	observe []metric.ObserveOption
}

// series are those of one instrument.
type series struct {
	def    Definition
	values *values

	mu    sync.RWMutex
	known map[labelled]*entry
}

func newSeries(d Definition, v *values) *series {
	return &series{def: d, values: v, known: map[labelled]*entry{}}
}

// find returns the series of label values.
func (s *series) find(service string, given []string) *entry {
	var raw labelled
	labels := raw[:0]
	if s.def.ofService() {
		labels = append(labels, service)
	}
	for i := 0; len(labels) < min(len(s.def.Labels), maxLabels); i++ {
		value := ""
		if i < len(given) {
			value = given[i]
		}
		labels = append(labels, value)
	}
	s.mu.RLock()
	e := s.known[raw]
	s.mu.RUnlock()
	if e != nil {
		return e
	}
	return s.admit(raw)
}

// admit finds or makes the series of values that were not met as they are. Where
// there are too many already, all labels say other.
func (s *series) admit(raw labelled) *entry {
	var key labelled
	for i, label := range s.def.Labels {
		// What is as it was given keeps no more memory than it shows.
		key[i] = strings.Clone(s.values.admit(label, raw[i]))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.known[key]; e != nil {
		return e
	}
	if len(s.known) >= seriesOfInstrument-1 {
		for i := range s.def.Labels {
			key[i] = other
		}
		if e := s.known[key]; e != nil {
			return e
		}
	}
	attributes := make([]attribute.KeyValue, len(s.def.Labels))
	for i, label := range s.def.Labels {
		attributes[i] = attribute.String(label, key[i])
	}
	option := metric.WithAttributeSet(attribute.NewSet(attributes...))
	e := &entry{labels: key, add: []metric.AddOption{option}, record: []metric.RecordOption{option}, observe: []metric.ObserveOption{option}}
	s.known[key] = e
	return e
}

// sums adds up what was counted, by one label; by an empty one in all.
func (s *series) sums(by string) map[string]int64 {
	at := -1
	for i, label := range s.def.Labels {
		if label == by {
			at = i
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]int64{}
	for _, e := range s.known {
		n := e.total.Load()
		if n == 0 {
			continue
		}
		if at < 0 {
			out[""] += n
		} else {
			out[e.labels[at]] += n
		}
	}
	return out
}

type counter struct {
	inst   metric.Int64Counter
	series *series
}

type histogram struct {
	inst   metric.Float64Histogram
	series *series
	// recent is nil where the snapshot does not show the histogram.
	recent *recent
}

// reading is a function that tells values of a service.
type reading struct {
	service string
	read    func(say Say)
}

type observed struct {
	series *series
	mu     sync.Mutex
	reads  []reading
}

// each reads every value there is now. What falls into one series is added up; of
// times the longest counts.
func (o *observed) each(tell func(e *entry, value float64)) {
	o.mu.Lock()
	reads := o.reads[:len(o.reads):len(o.reads)]
	o.mu.Unlock()
	values := map[*entry]float64{}
	longest := o.series.def.Kind == KindGauge && o.series.def.Unit == "s"
	for _, r := range reads {
		r.read(func(value float64, labels ...string) {
			e := o.series.find(r.service, labels)
			if longest {
				values[e] = max(values[e], value)
			} else {
				values[e] += value
			}
		})
	}
	for e, value := range values {
		tell(e, value)
	}
}

// uncancelled is the context of measuring, which nothing ends and which carries
// nothing: instruments only look for a trace in it.
type uncancelled struct{}

var _ context.Context = uncancelled{}

// Deadline implements context.Context.
func (uncancelled) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (uncancelled) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (uncancelled) Err() error { return nil }

// Value implements context.Context.
func (uncancelled) Value(any) any { return nil }
