package worker

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
)

// lane is one priority of the worker's queue.
//
// While a lane is thought to be empty a small fetch waits at the broker, so
// that its next message comes at once. From then on it is stocked: it takes part
// in sharing out the slots until a fetch finds less than it asked for. Every lane
// begins stocked, so that the first one heard of does not get every slot.
type lane struct {
	durable string
	weight  int
	// empty asks for the waiting fetch.
	empty chan struct{}

	mu   sync.Mutex
	cons jetstream.Consumer

	// The rest belongs to lanes.
	stocked bool
	credit  int
}

// open looks the lane's consumer up, once.
func (l *lane) open(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cons == nil {
		cons, err := js.Consumer(ctx, contract.StreamRuns, l.durable)
		if err != nil {
			return nil, fmt.Errorf("open consumer %s: %w", l.durable, err)
		}
		l.cons = cons
	}
	return l.cons, nil
}

// lanes shares the slots of a worker out between the lanes of its queue.
type lanes struct {
	mu  sync.Mutex
	all []*lane
}

func newLanes(queue string) *lanes {
	s := &lanes{}
	for _, l := range contract.Lanes() {
		s.all = append(s.all, &lane{durable: contract.RunConsumer(queue, l.Priority), weight: l.Weight, empty: make(chan struct{}, 1), stocked: true})
	}
	return s
}

// stocked reports whether a lane is thought to hold messages.
func (s *lanes) stocked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.all {
		if l.stocked {
			return true
		}
	}
	return false
}

// fill says that a lane holds messages.
func (s *lanes) fill(l *lane) {
	s.mu.Lock()
	l.stocked = true
	s.mu.Unlock()
}

// drained says that a fetch found less than it asked for.
func (s *lanes) drained(l *lane) {
	s.mu.Lock()
	was := l.stocked
	l.stocked, l.credit = false, 0
	s.mu.Unlock()
	if !was {
		return
	}
	select {
	case l.empty <- struct{}{}:
	default:
	}
}

// share is how many messages to fetch from a lane.
type share struct {
	lane     *lane
	messages int
}

// split shares room for n messages out between the stocked lanes by smooth
// weighted round robin: over time each gets what its weight is of all of theirs,
// and a lone one gets everything.
func (s *lanes) split(n int) []share {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make([]int, len(s.all))
	for range n {
		best, total := -1, 0
		for k, l := range s.all {
			if !l.stocked {
				continue
			}
			l.credit += l.weight
			total += l.weight
			if best < 0 || l.credit > s.all[best].credit {
				best = k
			}
		}
		if best < 0 {
			return nil
		}
		s.all[best].credit -= total
		counts[best]++
	}
	var shares []share
	for k, c := range counts {
		if c > 0 {
			shares = append(shares, share{s.all[k], c})
		}
	}
	return shares
}
