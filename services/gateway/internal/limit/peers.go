package limit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

const (
	beatEvery = 500 * time.Millisecond
	// silence is how long a peer that is not heard counts as there.
	silence = 2 * time.Second
	// collect is how long the answers to a hello are waited for.
	collect    = 100 * time.Millisecond
	sweepEvery = time.Minute
	// maxPeers and maxID bound what beats can make a gateway remember.
	maxPeers = 1000
	maxID    = 128
)

// peer is another gateway.
type peer struct {
	id string
	// heard is when its last beat came. It is guarded by Limiter.mu.
	heard time.Time
	// away says that its last answer did not come.
	away atomic.Bool
	// retryAt is when it may be asked again while it is away, in nanoseconds
	// of the Unix epoch.
	retryAt atomic.Int64
}

// view is the gateways that live, at one time. It never changes.
type view struct {
	self  string
	peers []*peer
}

// keeper is the gateway that keeps a bucket, nil for this one: the one with the
// highest score, so that one that comes or goes moves only the buckets it keeps.
func (v *view) keeper(bucket string) *peer {
	var best *peer
	id := v.self
	if len(v.peers) == 0 {
		return nil
	}
	top := score(bucket, id)
	for _, p := range v.peers {
		if s := score(bucket, p.id); s > top || s == top && p.id > id {
			best, top, id = p, s, p.id
		}
	}
	return best
}

// score is the same in every process: FNV-1a, with its bits mixed, because ids
// that differ in their last letter must not give neighbouring scores.
func score(bucket, id string) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for i := range len(bucket) {
		h = (h ^ uint64(bucket[i])) * prime
	}
	h *= prime
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * prime
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// Name implements run.Component.
func (l *Limiter) Name() string { return "rate limits" }

// Run implements run.Component: it finds the other gateways and keeps buckets
// for them. Before and after it, every bucket is kept here.
func (l *Limiter) Run(ctx context.Context, ready func()) error {
	take, err := l.nc.Subscribe(contract.RPCTake(l.id), bus.Guarded(l.log, l.serve))
	if err != nil {
		return fmt.Errorf("keep buckets for other gateways: %w", err)
	}
	beats, err := l.nc.Subscribe(contract.SubjectPeers, bus.Guarded(l.log, l.hear))
	if err != nil {
		return errors.Join(fmt.Errorf("hear other gateways: %w", err), take.Unsubscribe())
	}
	l.open()
	if err := l.beat(contract.PeerBeat{ID: l.id, Hello: true}); err != nil {
		l.log.Warn().Err(err).Msg("other gateways do not know yet that this one is there")
	}
	l.live(ctx, ready)
	l.leave(beats, take)
	return nil
}

func (l *Limiter) live(ctx context.Context, ready func()) {
	collected := time.NewTimer(collect)
	defer collected.Stop()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-collected.C:
			ready()
		case <-beat.C:
			l.dropSilent(time.Now())
			if err := l.beat(contract.PeerBeat{ID: l.id}); err != nil {
				l.log.Warn().Err(err).Msg("other gateways may think that this one is gone")
			}
		case <-sweep.C:
			l.sweep()
		}
	}
}

// leave goes on alone: it says goodbye, and waits for what was asked. Where NATS
// is away there is nobody to hear it; the others notice the silence.
func (l *Limiter) leave(beats, take *nats.Subscription) {
	err := beats.Unsubscribe()
	l.close()
	err = errors.Join(err, l.beat(contract.PeerBeat{ID: l.id, Bye: true}), take.Unsubscribe())
	if err == nil {
		err = l.nc.FlushTimeout(time.Second)
	}
	l.asks.Wait()
	if err != nil && !l.nc.IsClosed() {
		l.log.Debug().Err(err).Msg("could not tell the other gateways that this one leaves")
	}
}

func (l *Limiter) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = true
}

func (l *Limiter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
	clear(l.peers)
	l.look()
}

func (l *Limiter) beat(b contract.PeerBeat) error {
	data, err := contract.Encode(b)
	if err != nil {
		return fmt.Errorf("encode a beat: %w", err)
	}
	if err := l.nc.Publish(contract.SubjectPeers, data); err != nil {
		return fmt.Errorf("tell other gateways: %w", err)
	}
	return nil
}

func (l *Limiter) hear(msg *nats.Msg) {
	var b contract.PeerBeat
	if err := json.Unmarshal(msg.Data, &b); err != nil || !goodID(b.ID) || b.ID == l.id {
		return
	}
	if b.Hello {
		if err := l.beat(contract.PeerBeat{ID: l.id}); err != nil {
			l.log.Warn().Err(err).Msg("could not answer another gateway's hello")
		}
	}
	l.note(b, time.Now())
}

// goodID says whether an id can be part of a subject.
func goodID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '*' || r == '>' || r == '.'
	})
}

func (l *Limiter) note(b contract.PeerBeat, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, known := l.peers[b.ID]
	switch {
	case !l.running:
	case b.Bye && known:
		delete(l.peers, b.ID)
		l.look()
	case b.Bye:
	case known:
		p.heard = now
	case len(l.peers) < maxPeers:
		l.peers[b.ID] = &peer{id: b.ID, heard: now}
		l.look()
	}
}

func (l *Limiter) dropSilent(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.peers)
	maps.DeleteFunc(l.peers, func(_ string, p *peer) bool { return now.Sub(p.heard) > silence })
	if len(l.peers) != before {
		l.look()
	}
}

// look publishes who is there now. Its caller holds mu.
func (l *Limiter) look() {
	v := &view{self: l.id, peers: make([]*peer, 0, len(l.peers))}
	for _, p := range l.peers {
		v.peers = append(v.peers, p)
	}
	l.view.Store(v)
	l.log.Debug().Int("peers", len(v.peers)).Msg("the gateways that share rate limits have changed")
}
