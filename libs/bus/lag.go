package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/metrics"
)

const (
	// measureEvery is how often the broker is asked how its streams and consumers are.
	measureEvery = 5 * time.Second
	// measureWithin bounds one round of questions.
	measureWithin = 4 * time.Second
	// maxMeasured bounds the consumers asked for.
	maxMeasured = 60
)

// ConsumerName names a durable consumer.
type ConsumerName struct{ Stream, Durable string }

// Meter asks the broker now and then how consumers and streams are, so that nobody is
// asked when somebody looks. It is a run.Component.
type Meter struct {
	js        jetstream.JetStream
	log       zerolog.Logger
	consumers func() []ConsumerName
	streams   []string
	on        bool

	mu    sync.Mutex
	lag   map[ConsumerName]*jetstream.ConsumerInfo
	sizes map[string]*jetstream.StreamInfo
}

// NewMeter makes a meter of consumers, which are listed anew each time, and streams.
func NewMeter(js jetstream.JetStream, set *metrics.Set, log zerolog.Logger, consumers func() []ConsumerName, streams ...string) *Meter {
	m := &Meter{
		js: js, log: log, consumers: consumers, streams: streams, on: set != nil,
		lag: map[ConsumerName]*jetstream.ConsumerInfo{}, sizes: map[string]*jetstream.StreamInfo{},
	}
	m.observeConsumers(set)
	if len(streams) > 0 {
		m.observeStreams(set)
	}
	return m
}

func (m *Meter) observeConsumers(set *metrics.Set) {
	each := func(name string, read func(*jetstream.ConsumerInfo) float64) {
		set.Observe(name, func(say metrics.Say) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for c, info := range m.lag {
				if info != nil {
					say(read(info), c.Stream, c.Durable)
				}
			}
		})
	}
	each(metrics.ConsumerLag, func(i *jetstream.ConsumerInfo) float64 { return float64(i.NumPending) })
	each(metrics.ConsumerPending, func(i *jetstream.ConsumerInfo) float64 { return float64(i.NumAckPending) })
	each(metrics.Redeliveries, func(i *jetstream.ConsumerInfo) float64 { return float64(i.NumRedelivered) })
	set.Observe(metrics.ConsumerUp, func(say metrics.Say) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for c, info := range m.lag {
			up := 0.0
			if info != nil {
				up = 1
			}
			say(up, c.Stream, c.Durable)
		}
	})
}

func (m *Meter) observeStreams(set *metrics.Set) {
	each := func(name string, read func(*jetstream.StreamInfo) float64) {
		set.Observe(name, func(say metrics.Say) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for stream, info := range m.sizes {
				say(read(info), stream)
			}
		})
	}
	each(metrics.StreamMessages, func(i *jetstream.StreamInfo) float64 { return float64(i.State.Msgs) })
	each(metrics.StreamSize, func(i *jetstream.StreamInfo) float64 { return float64(i.State.Bytes) })
	each(metrics.StreamLimit, func(i *jetstream.StreamInfo) float64 { return float64(i.Config.MaxBytes) })
}

// Name implements run.Component.
func (m *Meter) Name() string { return "broker meter" }

// Run implements run.Component.
func (m *Meter) Run(ctx context.Context, ready func()) error {
	ready()
	if !m.on {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		m.measure(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// measure asks once. What the broker does not tell now is not told on.
func (m *Meter) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, measureWithin)
	defer cancel()
	lag, sizes := map[ConsumerName]*jetstream.ConsumerInfo{}, map[string]*jetstream.StreamInfo{}
	var failed error
	for _, c := range m.listed() {
		info, err := m.consumer(ctx, c)
		if err != nil {
			failed = err
		}
		lag[c] = info
	}
	for _, name := range m.streams {
		s, err := m.js.Stream(ctx, name)
		if err != nil {
			failed = fmt.Errorf("look up stream %s: %w", name, err)
			continue
		}
		sizes[name] = s.CachedInfo()
	}
	if failed != nil && ctx.Err() == nil {
		m.log.Debug().Err(failed).Msg("the broker does not tell of a stream or consumer now")
	}
	m.mu.Lock()
	m.lag, m.sizes = lag, sizes
	m.mu.Unlock()
}

func (m *Meter) listed() []ConsumerName {
	all := m.consumers()
	return all[:min(len(all), maxMeasured)]
}

func (m *Meter) consumer(ctx context.Context, c ConsumerName) (*jetstream.ConsumerInfo, error) {
	cons, err := m.js.Consumer(ctx, c.Stream, c.Durable)
	if err != nil {
		return nil, fmt.Errorf("look up consumer %s of %s: %w", c.Durable, c.Stream, err)
	}
	return cons.CachedInfo(), nil
}
