// Package limit holds clients to so many requests a minute, across all gateways
// and with nothing but NATS between them.
package limit

import (
	"context"
	"hash/maphash"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

const (
	shards = 64
	// maxBuckets bounds the buckets with a name of their own, maxOverflow those
	// that the rest share.
	maxBuckets  = 100_000
	maxOverflow = 1000
	maxName     = 256
	// maxRounds bounds how often one request waits for tokens that others then
	// take before it.
	maxRounds = 3
	// idle is how long a bucket is kept unused: by then it is full again.
	idle = time.Minute
)

// Limiter decides by token buckets. Each bucket has one keeper among the
// gateways that live, and the keeper alone hands out its tokens; the others get
// them from it in chunks, and remember its refusals until they are over.
//
// A limiter must not be able to take the API down. Where the keeper does not
// answer within 500 ms, each gateway goes on with a bucket of its own, from what
// it last knew to be left: it fails open, to at most the limit times the number
// of gateways, and never closed. A gateway that comes or goes moves the buckets
// it keeps, which can let through as much as the limit once more.
//
// It remembers at most 100,000 buckets. Beyond that, new ones share one bucket
// for each limit, and beyond 1,000 different limits everything is let through.
type Limiter struct {
	nc     *nats.Conn
	id     string
	log    zerolog.Logger
	now    func() time.Time
	seed   maphash.Seed
	shards [shards]shard
	// named and shared count the buckets.
	named, shared atomic.Int64
	view          atomic.Pointer[view]

	// mu guards what follows. It may be taken under the lock of a shard.
	mu      sync.Mutex
	peers   map[string]*peer
	running bool
	asks    sync.WaitGroup
}

type shard struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

// bucket is guarded by the lock of its shard.
type bucket struct {
	name string
	// level is the bucket itself where it is kept here, and otherwise what its
	// keeper last said.
	level  level
	used   time.Time
	view   *view
	keeper *peer
	// stash is tokens that the keeper has granted.
	stash int
	// refused is until when the keeper has none.
	refused time.Time
	// answer closes with the keeper's answer; nil when it was not asked.
	answer chan struct{}
	// waiting is how many requests wait for the answer.
	waiting int
}

// Verdict is what a limiter has decided.
type Verdict struct {
	Allowed bool
	// Limit is the requests a minute, zero where there is no limit. Remaining
	// is what is left of it, an estimate where another gateway keeps it.
	Limit, Remaining int
	// Wait is how long until there is a token, when refused.
	Wait time.Duration
	// Reset is how long until the bucket is full.
	Reset time.Duration
}

// New makes a limiter. id names this gateway among its peers: it must be
// unique, and fit into a subject as one token.
func New(nc *nats.Conn, id string, log zerolog.Logger, now func() time.Time) *Limiter {
	l := &Limiter{nc: nc, id: id, log: log, now: now, seed: maphash.MakeSeed(), peers: map[string]*peer{}}
	for i := range l.shards {
		l.shards[i].buckets = map[string]*bucket{}
	}
	l.view.Store(&view{self: id})
	return l
}

// Allow takes a token out of a bucket. No limit is a perMinute of zero or less;
// one above contract.MaxRateLimit counts as that. A name that is empty or longer
// than 256 bytes shares its bucket with all such. It waits only for a keeper
// that is another gateway, and only until ctx ends.
func (l *Limiter) Allow(ctx context.Context, bucket string, perMinute int) Verdict {
	if perMinute <= 0 {
		return Verdict{Allowed: true}
	}
	perMinute = min(perMinute, contract.MaxRateLimit)
	for round := 1; ; round++ {
		v, answer := l.decide(ctx, bucket, perMinute, round <= maxRounds && ctx.Err() == nil)
		if answer == nil {
			return v
		}
		select {
		case <-answer:
		case <-ctx.Done():
		}
	}
}

// decide returns a verdict, or what to wait for before the next try.
func (l *Limiter) decide(ctx context.Context, name string, perMinute int, patient bool) (Verdict, <-chan struct{}) {
	s, b := l.lock(name, perMinute)
	if b == nil {
		return Verdict{Allowed: true, Limit: perMinute, Remaining: perMinute}, nil
	}
	defer s.mu.Unlock()
	switch {
	case b.keeper == nil:
		return b.spend(), nil
	case b.stash > 0:
		b.stash--
		if size := chunk(perMinute); size > 1 && b.stash < size/2 {
			l.refill(ctx, s, b)
		}
		return b.verdict(true), nil
	case b.used.Before(b.refused):
		return b.verdict(false), nil
	case b.keeper.away.Load():
		l.refill(ctx, s, b)
		return b.spend(), nil
	case !patient:
		return b.spend(), nil
	}
	answer := l.ask(ctx, s, b)
	if answer == nil {
		return b.spend(), nil
	}
	b.waiting++
	return Verdict{}, answer
}

// refill asks for the next chunk without waiting for it, unless the keeper has
// said when that makes sense, or is away and was asked just now.
func (l *Limiter) refill(ctx context.Context, s *shard, b *bucket) {
	if b.answer != nil || b.used.Before(b.refused) || b.keeper.away.Load() && !b.keeper.due() {
		return
	}
	l.ask(ctx, s, b)
}

// lock returns a bucket at its level of now, with its shard locked; or nil, and
// nothing locked, when there is no room for it.
func (l *Limiter) lock(name string, perMinute int) (*shard, *bucket) {
	if goodName(name) {
		if s, b := l.find(name, perMinute); b != nil {
			return s, b
		}
	}
	return l.find(sharedName(perMinute), perMinute)
}

func (l *Limiter) find(name string, perMinute int) (*shard, *bucket) {
	s := l.shard(name)
	s.mu.Lock()
	now := l.now()
	b, ok := s.buckets[name]
	if !ok {
		count, most := l.counter(name)
		if count.Add(1) > most {
			count.Add(-1)
			s.mu.Unlock()
			return nil, nil
		}
		b = &bucket{name: name, level: level{perMinute: perMinute, tokens: float64(perMinute), at: now}}
		s.buckets[name] = b
	}
	b.used = now
	b.level.flow(now)
	b.resize(perMinute)
	b.settle(l.view.Load())
	return s, b
}

func (l *Limiter) shard(name string) *shard { return &l.shards[maphash.String(l.seed, name)%shards] }

func goodName(name string) bool {
	return name != "" && len(name) <= maxName
}

// sharedPrefix begins the names of shared buckets.
const sharedPrefix = "\x00shared:"

// sharedName is where what has no bucket of its own goes.
func sharedName(perMinute int) string { return sharedPrefix + strconv.Itoa(perMinute) }

// sweep forgets the buckets that have not been used since they became full.
func (l *Limiter) sweep() {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		now := l.now()
		maps.DeleteFunc(s.buckets, func(name string, b *bucket) bool {
			if b.answer != nil || now.Sub(b.used) < idle {
				return false
			}
			count, _ := l.counter(name)
			count.Add(-1)
			return true
		})
		s.mu.Unlock()
	}
}

// counter counts the buckets of a kind, of which there may be so many.
func (l *Limiter) counter(name string) (count *atomic.Int64, most int64) {
	if strings.HasPrefix(name, sharedPrefix) {
		return &l.shared, maxOverflow
	}
	return &l.named, maxBuckets
}

// resize changes the limit, and with it what is in the stash.
func (b *bucket) resize(perMinute int) {
	old := b.level.perMinute
	if old == perMinute {
		return
	}
	b.level.resize(perMinute)
	b.stash = b.stash * perMinute / old
	b.refused = time.Time{}
}

// settle finds the keeper anew when gateways have come or gone.
func (b *bucket) settle(v *view) {
	if b.view == v {
		return
	}
	was := b.keeper
	b.view, b.keeper = v, v.keeper(b.name)
	if b.keeper == was {
		return
	}
	b.refused = time.Time{}
	if b.keeper == nil {
		b.level.put(b.stash)
		b.stash = 0
	}
}

// spend decides by the level that is known here.
func (b *bucket) spend() Verdict { return b.verdict(b.level.take(1) == 1) }

func (b *bucket) verdict(allowed bool) Verdict {
	v := Verdict{Allowed: allowed, Limit: b.level.perMinute, Reset: b.level.reset()}
	if allowed {
		v.Remaining = min(b.level.left()+b.stash, v.Limit)
		return v
	}
	if v.Wait = b.refused.Sub(b.used); v.Wait <= 0 {
		v.Wait = max(b.level.wait(), 1)
	}
	v.Reset = max(v.Reset, v.Wait)
	return v
}
