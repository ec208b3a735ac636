package limit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/contract"
)

const (
	// patience is how long a keeper may take to answer.
	patience = 500 * time.Millisecond
	// retryEvery is how often a keeper that is away is asked, beside requests.
	retryEvery = 250 * time.Millisecond
	maxChunk   = 1000
)

// errNotKept means that a keeper answered, but does not keep the bucket.
var errNotKept = errors.New("the gateway does not keep the bucket")

// chunk is how many tokens are asked for at once: few enough that what lies
// unused in the stashes is a small part of the limit.
func chunk(perMinute int) int { return min(max(perMinute/50, 1), maxChunk) }

// serve answers one request for tokens. One that makes no sense gets none.
func (l *Limiter) serve(msg *nats.Msg) {
	if msg.Reply == "" {
		return
	}
	var req contract.TakeRequest
	var reply contract.TakeReply
	if err := json.Unmarshal(msg.Data, &req); err == nil && goodRequest(req) {
		reply = l.grant(req)
	}
	data, err := contract.Encode(reply)
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		l.log.Warn().Err(err).Msg("could not answer another gateway's request for tokens")
	}
}

func goodRequest(r contract.TakeRequest) bool {
	return goodName(r.Bucket) && r.PerMinute > 0 && r.PerMinute <= contract.MaxRateLimit && r.Want > 0 && r.Want <= maxChunk
}

func (l *Limiter) grant(r contract.TakeRequest) contract.TakeReply {
	s, b := l.lock(r.Bucket, r.PerMinute)
	if b == nil {
		return contract.TakeReply{}
	}
	defer s.mu.Unlock()
	got := b.level.take(r.Want)
	reply := contract.TakeReply{Granted: got, Left: b.level.left()}
	if got == 0 {
		reply.WaitMS = max(1, int64((b.level.wait()+time.Millisecond-1)/time.Millisecond))
	}
	return reply
}

// ask asks the keeper of a bucket for its next chunk, beside the caller, who
// holds the shard. It returns the channel that closes with the answer, or nil
// when nobody can be asked any more. There is one question at a time.
func (l *Limiter) ask(ctx context.Context, s *shard, b *bucket) <-chan struct{} {
	if b.answer != nil {
		return b.answer
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running {
		return nil
	}
	answer := make(chan struct{})
	b.answer = answer
	p := b.keeper
	req := contract.TakeRequest{Bucket: b.name, PerMinute: b.level.perMinute, Want: min(chunk(b.level.perMinute)+b.waiting, maxChunk)}
	base := context.WithoutCancel(ctx)
	l.asks.Go(func() {
		defer close(answer)
		reply, err := l.call(base, p.id, req)
		l.reached(p, err)
		s.mu.Lock()
		defer s.mu.Unlock()
		b.answer, b.waiting = nil, 0
		if err == nil {
			b.learn(reply, req.PerMinute, l.now())
		}
	})
	return answer
}

func (l *Limiter) call(ctx context.Context, keeper string, req contract.TakeRequest) (contract.TakeReply, error) {
	var reply contract.TakeReply
	data, err := contract.Encode(req)
	if err != nil {
		return reply, fmt.Errorf("encode a request for tokens: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	msg, err := l.nc.RequestWithContext(ctx, contract.RPCTake(keeper), data)
	if err != nil {
		return reply, fmt.Errorf("ask gateway %s for tokens: %w", keeper, err)
	}
	if err := json.Unmarshal(msg.Data, &reply); err != nil {
		return reply, fmt.Errorf("decode the tokens of gateway %s: %w", keeper, err)
	}
	if reply.Granted < 0 || reply.Granted > req.Want || reply.Left < 0 || reply.Granted == 0 && reply.WaitMS <= 0 {
		return reply, fmt.Errorf("ask gateway %s for tokens: %w", keeper, errNotKept)
	}
	return reply, nil
}

// reached notes whether a keeper has answered.
func (l *Limiter) reached(p *peer, err error) {
	if err == nil {
		if p.away.Swap(false) {
			l.log.Info().Str("peer", p.id).Msg("a gateway answers again; its rate limits are shared")
		}
		return
	}
	p.retryAt.Store(time.Now().Add(retryEvery).UnixNano())
	if !p.away.Swap(true) {
		l.log.Warn().Err(err).Str("peer", p.id).Msg("a gateway does not answer; its rate limits are kept by each")
	}
}

// due says whether a keeper that is away may be asked again, to one caller.
func (p *peer) due() bool {
	now := time.Now()
	at := p.retryAt.Load()
	return now.UnixNano() >= at && p.retryAt.CompareAndSwap(at, now.Add(retryEvery).UnixNano())
}

// learn takes in a keeper's answer. The level follows that of the keeper, so
// that whoever goes on without it does so from what was left.
func (b *bucket) learn(r contract.TakeReply, perMinute int, now time.Time) {
	if b.level.perMinute != perMinute {
		// The limit has changed meanwhile: what was granted is of the old one.
		return
	}
	b.level.flow(now)
	b.level.tokens = min(float64(r.Left), float64(perMinute))
	b.stash += r.Granted
	if r.Granted == 0 {
		b.refused = now.Add(time.Duration(min(r.WaitMS, time.Minute.Milliseconds())) * time.Millisecond)
	}
}
