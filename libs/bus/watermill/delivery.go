package wmjs

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/telemetry"
)

// Delivery says where a message came from. Unlike metadata, which its
// publisher wrote, all of it but Header is the broker's own word.
type Delivery struct {
	Stream   string
	Consumer string
	Subject  string
	// Sequence is the message's place in its stream.
	Sequence uint64
	// Attempt counts the deliveries of the message, from 1.
	Attempt int
	// Stored is when the stream took the message.
	Stored time.Time
	// Header has every value of headers that were given more than once.
	Header nats.Header
}

// Origin is where the message came from.
func (d Delivery) Origin() bus.Origin {
	return bus.Origin{Stream: d.Stream, Subject: d.Subject, Sequence: d.Sequence, Stored: d.Stored}
}

type deliveryKey struct{}

// DeliveryOf returns the delivery of the message that ctx belongs to.
func DeliveryOf(ctx context.Context) (Delivery, bool) {
	d, ok := ctx.Value(deliveryKey{}).(Delivery)
	return d, ok
}

type retryKey struct{}

// RetryIn sets when a message comes again that is nacked, in place of the
// subscriber's own delay.
func RetryIn(m *message.Message, d time.Duration) {
	if own, ok := m.Context().Value(retryKey{}).(*atomic.Int64); ok {
		own.Store(int64(max(1, d)))
	}
}

// delivery is a message between its arrival and its settlement.
type delivery struct {
	Delivery
	raw    *nats.Msg
	msg    *message.Message
	cancel context.CancelFunc
	// unread is closed when nobody took the message.
	unread chan struct{}
	// retry is when the message comes again, if its handler has said so.
	retry *atomic.Int64
}

// newDelivery wraps what the broker sent. Whatever its headers hold, a message
// comes out of it: judging the content is the handler's part.
func newDelivery(ctx context.Context, raw *nats.Msg) *delivery {
	d := &delivery{Delivery: describe(raw), raw: raw, unread: make(chan struct{}), retry: &atomic.Int64{}}
	ctx = context.WithValue(traced(ctx, raw.Header), deliveryKey{}, d.Delivery)
	ctx = context.WithValue(ctx, retryKey{}, d.retry)
	ctx, d.cancel = context.WithCancel(ctx)
	d.msg = message.NewMessageWithContext(ctx, d.id(), raw.Data)
	for name, values := range raw.Header {
		if len(values) > 0 {
			d.msg.Metadata.Set(name, values[0])
		}
	}
	return d
}

// traced continues the trace that headers tell of. Headers are the publisher's;
// whatever they do to their reader, the message is delivered.
func traced(ctx context.Context, h nats.Header) (out context.Context) {
	defer func() {
		if recover() != nil {
			out = ctx
		}
	}()
	return telemetry.FromHeader(ctx, h)
}

func describe(raw *nats.Msg) Delivery {
	d := Delivery{Subject: raw.Subject, Attempt: 1, Header: raw.Header}
	// A reply subject of an unknown shape costs the facts, not the message.
	if meta, err := raw.Metadata(); err == nil {
		d.Stream, d.Consumer = meta.Stream, meta.Consumer
		d.Sequence, d.Stored = meta.Sequence.Stream, meta.Timestamp
		d.Attempt = max(1, int(meta.NumDelivered))
	}
	return d
}

// id is the publisher's message id, or else the message's place in its stream.
func (d *delivery) id() string {
	if id := d.raw.Header.Get(nats.MsgIdHdr); id != "" {
		return id
	}
	return fmt.Sprintf("%s:%d", d.Stream, d.Sequence)
}
