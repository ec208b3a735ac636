package wmjs

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

const (
	reopenAfter   = 250 * time.Millisecond
	reopenAtMost  = 5 * time.Second
	shortestGap   = 10 * time.Millisecond
	defaultAckGap = 10 * time.Second
)

// subscription is one topic being read. One goroutine takes messages from the
// broker, one hands them to the reader in order, and one watches each message
// until it is settled.
type subscription struct {
	*Subscriber
	topic string
	log   zerolog.Logger
	// values is what the contexts of messages are made of.
	values context.Context
	out    chan *message.Message

	// ackGap is how often a message in work is kept alive.
	ackGap time.Duration
	inHand atomic.Int64
	// freed has an entry when there may be room for more messages.
	freed chan struct{}
	// graceOver is closed when what is in hand has to go back.
	graceOver chan struct{}
	watching  sync.WaitGroup
}

func newSubscription(values context.Context, s *Subscriber, topic string) *subscription {
	return &subscription{
		Subscriber: s, topic: topic, values: values,
		log:       s.log.With().Str("topic", topic).Logger(),
		out:       make(chan *message.Message),
		freed:     make(chan struct{}, 1),
		graceOver: make(chan struct{}),
	}
}

// open makes sure that the consumer exists and gets ready to read it.
func (s *subscription) open(ctx context.Context) (*puller, error) {
	c, err := s.cfg.Resolve(s.topic)
	if err != nil {
		return nil, fmt.Errorf("resolve the topic: %w", err)
	}
	if err := bus.Provision(ctx, s.js, nil, []contract.Consumer{c}); err != nil {
		return nil, err
	}
	cons, err := s.js.Consumer(ctx, c.Stream, c.Durable)
	if err != nil {
		return nil, fmt.Errorf("open consumer %s of %s: %w", c.Durable, c.Stream, err)
	}
	s.ackGap = defaultAckGap
	if wait := cons.CachedInfo().Config.AckWait; wait > 0 {
		s.ackGap = max(shortestGap, wait/3)
	}
	return newPuller(s.js, c.Stream, c.Durable, s.cfg.InFlight)
}

// run reads until ctx ends or the connection is closed, and returns when every
// message is settled.
func (s *subscription) run(ctx context.Context, p *puller) {
	ctx, stop := context.WithCancel(ctx)
	queue := make(chan *delivery, s.cfg.InFlight)
	var handing sync.WaitGroup
	handing.Go(func() { s.handOver(ctx, queue) })
	s.read(ctx, p, queue)
	stop()
	close(queue)
	handing.Wait()
	grace := time.AfterFunc(s.cfg.Grace, func() { close(s.graceOver) })
	defer grace.Stop()
	s.watching.Wait()
}

// handOver passes messages to the reader in order. It is the only sender on
// out and therefore the one to close it. What nobody took goes back when
// nothing is requested any more: earlier, the broker would send it here again.
func (s *subscription) handOver(ctx context.Context, queue <-chan *delivery) {
	defer close(s.out)
	var unread []*delivery
	for d := range queue {
		if !s.handed(ctx, d) {
			unread = append(unread, d)
		}
	}
	for _, d := range unread {
		close(d.unread)
	}
}

func (s *subscription) handed(ctx context.Context, d *delivery) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case s.out <- d.msg:
		return true
	case <-ctx.Done():
		return false
	}
}

// read takes messages until ctx ends, starting over whenever that fails.
func (s *subscription) read(ctx context.Context, p *puller, queue chan<- *delivery) {
	for {
		err := s.take(ctx, p, queue)
		s.refuse(p.drain())
		if ctx.Err() != nil {
			return
		}
		if p = s.reopen(ctx, err); p == nil {
			return
		}
	}
}

func (s *subscription) take(ctx context.Context, p *puller, queue chan<- *delivery) error {
	beat := time.NewTicker(pullHeartbeat / 2)
	defer beat.Stop()
	for {
		if err := p.ask(s.cfg.InFlight - int(s.inHand.Load())); err != nil {
			return err
		}
		select {
		case raw := <-p.inbox:
			isMessage, err := p.receive(raw)
			if err != nil {
				return err
			}
			if isMessage {
				queue <- s.accept(raw)
			}
		case <-s.freed:
		case now := <-beat.C:
			if p.silent(now) {
				return errSilent
			}
		case <-p.closed:
			return nats.ErrConnectionClosed
		case <-ctx.Done():
			return nil
		}
	}
}

// reopen waits for the broker to be readable again. It returns nil when ctx
// ended or the connection was closed.
func (s *subscription) reopen(ctx context.Context, cause error) *puller {
	for wait := reopenAfter; ; wait = min(2*wait, reopenAtMost) {
		if s.js.Conn().IsClosed() {
			s.log.Error().Err(cause).Msg("the connection to NATS is closed; the subscription ends")
			return nil
		}
		s.log.Warn().Err(cause).Dur("again_in", wait).Msg("reading was interrupted; starting over")
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		p, err := s.open(ctx)
		if err == nil {
			return p
		}
		cause = err
	}
}

// accept takes responsibility for a message until it is settled.
func (s *subscription) accept(raw *nats.Msg) *delivery {
	d := newDelivery(s.values, raw)
	s.inHand.Add(1)
	gap := s.ackGap
	s.watching.Go(func() {
		s.watch(d, gap)
		d.cancel()
		s.inHand.Add(-1)
		select {
		case s.freed <- struct{}{}:
		default:
		}
	})
	return d
}

// watch keeps a message alive until it is settled: the handler may take as
// long as it needs and does not have to know about it.
func (s *subscription) watch(d *delivery, gap time.Duration) {
	alive := time.NewTicker(gap)
	defer alive.Stop()
	for {
		select {
		case <-d.msg.Acked():
			s.told(d, "ack", d.raw.Ack())
			return
		case <-d.msg.Nacked():
			s.told(d, "nack", d.raw.NakWithDelay(cmp.Or(time.Duration(d.retry.Load()), s.cfg.RetryDelay(d.Attempt))))
			return
		case <-d.unread:
			s.told(d, "give back", d.raw.Nak())
			return
		case <-s.graceOver:
			s.told(d, "give back", d.raw.Nak())
			return
		case <-alive.C:
			s.told(d, "keep alive", d.raw.InProgress())
		}
	}
}

// refuse gives back messages that came after reading had ended.
func (s *subscription) refuse(rest []*nats.Msg) {
	for _, raw := range rest {
		if err := raw.Nak(); err != nil {
			s.log.Warn().Err(err).Msg("could not give a message back; it comes again by itself")
		}
	}
}

func (s *subscription) told(d *delivery, what string, err error) {
	if err != nil {
		s.log.Warn().Err(err).Str("action", what).Uint64("sequence", d.Sequence).Msg("could not reach the broker about a message; it comes again by itself")
	}
}
