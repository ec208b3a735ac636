package wmjs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/bus"
	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
)

type key struct{}

func TestDelivery(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: topic, Data: []byte("hello"), Header: nats.Header{
		"Nats-Msg-Id": {"id-1"}, "Color": {"red", "blue"}, "traceparent": {oneTrace}, "Empty": {""},
	}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), topic, nil)
	require.NoError(t, err)

	sub := newSubscriber(t, js, time.Minute, nil)
	ch, err := sub.Subscribe(context.WithValue(t.Context(), key{}, "kept"), topic)
	require.NoError(t, err)

	first := next(t, ch)
	require.Equal(t, "id-1", first.UUID)
	require.Equal(t, "hello", string(first.Payload))
	require.Equal(t, "red", first.Metadata.Get("Color"), "the first value of a header counts")
	require.Equal(t, "kept", first.Context().Value(key{}))
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", trace.SpanContextFromContext(first.Context()).TraceID().String())
	d, ok := wmjs.DeliveryOf(first.Context())
	require.True(t, ok)
	require.Equal(t, []string{"red", "blue"}, d.Header.Values("Color"))
	require.WithinDuration(t, time.Now(), d.Stored, time.Minute)
	d.Header, d.Stored = nil, time.Time{}
	require.Equal(t, wmjs.Delivery{Stream: "EVENTS", Consumer: topic, Subject: topic, Sequence: 1, Attempt: 1}, d)

	second := next(t, ch)
	require.Equal(t, "EVENTS:2", second.UUID, "a message without an id gets one that never changes")
	require.NoError(t, second.Context().Err())
	second.Ack()
	done(t, second.Context())

	_, ok = wmjs.DeliveryOf(t.Context())
	require.False(t, ok)
}

func TestOrderAndBound(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	publish(t, js, "1", "2", "3", "4", "5", "6")
	ch := subscribe(t, newSubscriber(t, js, time.Minute, nil))
	var held []*message.Message
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		m := next(t, ch)
		require.Equal(t, id, m.UUID)
		held = append(held, m)
	}
	i := info(t, js)
	require.Equal(t, 5, i.NumAckPending, "five may be in flight, so only five were taken")
	require.EqualValues(t, 1, i.NumPending)
	select {
	case m := <-ch:
		require.FailNow(t, "too many in flight", m.UUID)
	default:
	}
	held[2].Ack()
	require.Equal(t, "6", next(t, ch).UUID)
}

// A subscriber that is busy must not hold what another one could handle.
func TestFairness(t *testing.T) {
	t.Parallel()
	b, js := events(t)
	busy := subscribe(t, newSubscriber(t, js, time.Minute, nil))
	for i := range 50 {
		publish(t, js, fmt.Sprint(i))
	}
	for range 5 {
		next(t, busy)
	}
	other := subscribe(t, newSubscriber(t, b.connect(t), time.Minute, nil))
	for range 45 {
		next(t, other).Ack()
	}
	require.Eventually(t, func() bool { return info(t, js).NumAckPending == 5 }, soon, 5*time.Millisecond)
}

// The handler takes several times as long as the broker waits for an ack.
func TestLongHandlerRunsOnce(t *testing.T) {
	t.Parallel()
	b, js := events(t)
	const ackWait = 300 * time.Millisecond
	ch := subscribe(t, newSubscriber(t, js, ackWait, nil))
	rival := subscribe(t, newSubscriber(t, b.connect(t), ackWait, nil))
	publish(t, js, "long")
	var m *message.Message
	select {
	case m = <-ch:
	case m = <-rival:
	}
	select {
	case <-ch:
		require.FailNow(t, "delivered again")
	case <-rival:
		require.FailNow(t, "delivered again")
	case <-time.After(5 * ackWait):
	}
	m.Ack()
	require.EqualValues(t, 1, settled(t, js).Delivered.Consumer)
}

func TestNackComesAgainLater(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	var mu sync.Mutex
	var asked []int
	ch := subscribe(t, newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) {
		c.RetryDelay = func(attempt int) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, attempt)
			return time.Duration(attempt) * 100 * time.Millisecond
		}
	}))
	publish(t, js, "1")
	for attempt := 1; attempt <= 3; attempt++ {
		m := next(t, ch)
		d, _ := wmjs.DeliveryOf(m.Context())
		require.Equal(t, attempt, d.Attempt)
		nacked := time.Now()
		m.Nack()
		done(t, m.Context())
		if attempt == 3 {
			break
		}
		publish(t, js, fmt.Sprint("between", attempt))
		between := next(t, ch)
		require.Equal(t, fmt.Sprint("between", attempt), between.UUID, "a delayed message holds up nobody")
		between.Ack()
		require.Less(t, time.Since(nacked), soon)
	}
	last := next(t, ch)
	last.Ack()
	settled(t, js)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []int{1, 2, 3}, asked)
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	delay := wmjs.Backoff(100*time.Millisecond, 30*time.Second)
	for attempt, want := range map[int]time.Duration{
		-1: 100 * time.Millisecond, 0: 100 * time.Millisecond, 1: 100 * time.Millisecond, 2: 200 * time.Millisecond,
		5: 1600 * time.Millisecond, 9: 25600 * time.Millisecond, 10: 30 * time.Second, 40: 30 * time.Second, 1 << 40: 30 * time.Second,
	} {
		for range 100 {
			require.InDelta(t, want, delay(attempt), float64(want)/5+1, "attempt %d", attempt)
		}
	}
	require.InDelta(t, 30*time.Second, wmjs.Backoff(time.Hour, 30*time.Second)(1), float64(6*time.Second)+1)
}

func TestCloseGivesBackAndLeavesTheConnection(t *testing.T) {
	t.Parallel()
	b, js := events(t)
	publish(t, js, "1", "2", "3", "4")
	sub := newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) { c.Grace = 10 * time.Millisecond })
	ch := subscribe(t, sub)
	read := next(t, ch)
	require.Eventually(t, func() bool { return info(t, js).NumAckPending == 4 }, soon, 5*time.Millisecond)

	require.NoError(t, sub.Close())
	closed(t, ch)
	done(t, read.Context())
	require.True(t, js.Conn().IsConnected(), "the connection belongs to somebody else")
	require.NoError(t, sub.Close(), "closing twice is fine")
	_, err := sub.Subscribe(t.Context(), topic)
	require.ErrorIs(t, err, wmjs.ErrClosed)

	other := subscribe(t, newSubscriber(t, b.connect(t), time.Minute, nil))
	got := map[string]bool{}
	for range 4 {
		m := next(t, other)
		got[m.UUID] = true
		m.Ack()
	}
	require.Equal(t, map[string]bool{"1": true, "2": true, "3": true, "4": true}, got, "long before the broker would have lost patience")
	read.Ack()
	require.EqualValues(t, 8, settled(t, js).Delivered.Consumer)
}

// Subscribers come and go while messages flow; none is lost and nothing panics.
func TestCloseUnderLoad(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	const total = 300
	for i := range total {
		publish(t, js, fmt.Sprint(i))
	}
	got := map[string]bool{}
	for len(got) < total {
		sub := newSubscriber(t, js, time.Minute, nil)
		ch := subscribe(t, sub)
		for range 7 {
			m := next(t, ch)
			got[m.UUID] = true
			m.Ack()
			if len(got) == total {
				break
			}
		}
		closing := make(chan error, 1)
		go func() { closing <- sub.Close() }()
		for m := range ch {
			m.Nack()
		}
		err := <-closing
		require.NoError(t, err)
	}
}

func TestHandlersFinishWithinGrace(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	publish(t, js, "1")
	sub := newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) { c.Grace = soon })
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := sub.Subscribe(ctx, topic)
	require.NoError(t, err)
	m := next(t, ch)
	cancel()
	closed(t, ch)
	var closeErr error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		closeErr = sub.Close()
	}()
	require.NoError(t, m.Context().Err(), "a handler at work is left alone")
	select {
	case <-ended:
		require.FailNow(t, "closed under a handler's feet")
	case <-time.After(50 * time.Millisecond):
	}
	m.Ack()
	<-ended
	require.NoError(t, closeErr)
	require.EqualValues(t, 1, settled(t, js).Delivered.Consumer)
}

func TestSubscribeErrors(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	_, err := wmjs.NewSubscriber(js, zerolog.Nop(), wmjs.SubscriberConfig{})
	require.ErrorContains(t, err, "resolves topics")
	_, err = wmjs.NewSubscriber(js, zerolog.Nop(), wmjs.SubscriberConfig{Resolve: wmjs.Durables(nil), InFlight: -1})
	require.ErrorContains(t, err, "-1 messages in flight")

	sub := newSubscriber(t, js, time.Minute, nil)
	_, err = sub.Subscribe(t.Context(), "nobody")
	require.ErrorContains(t, err, `there is no durable consumer "nobody"`)

	noStream := newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) {
		c.Resolve = wmjs.Durables([]contract.Consumer{{Stream: "MISSING", Durable: topic, AckWait: time.Second, MaxAckPending: 1}})
	})
	_, err = noStream.Subscribe(t.Context(), topic)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)

	subscribe(t, sub)
	drifted := newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) {
		other := consumer(time.Minute)
		other.Filter = topic + ".other"
		c.Resolve = wmjs.Durables([]contract.Consumer{other})
	})
	_, err = drifted.Subscribe(t.Context(), topic)
	require.ErrorIs(t, err, bus.ErrDrift)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	sub, err := wmjs.NewSubscriber(js, zerolog.Nop(), wmjs.SubscriberConfig{Resolve: wmjs.Durables([]contract.Consumer{consumer(time.Minute)})})
	require.NoError(t, err)
	ch := subscribe(t, sub)
	publish(t, js, "1")
	next(t, ch).Nack()
	next(t, ch).Ack()
	require.NoError(t, sub.Close())
}

// A handler knows better than the subscriber when its message should come again.
func TestRetryIn(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	sub := newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) {
		c.RetryDelay = func(int) time.Duration { return time.Hour }
	})
	ch := subscribe(t, sub)
	publish(t, js, "a")
	m := next(t, ch)
	wmjs.RetryIn(m, time.Millisecond)
	m.Nack()
	m = next(t, ch)
	d, _ := wmjs.DeliveryOf(m.Context())
	require.Equal(t, 2, d.Attempt)
	m.Ack()
	wmjs.RetryIn(message.NewMessage("of nobody", nil), time.Second)
}
