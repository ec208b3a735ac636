package wmjs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
)

func TestDeletedConsumerIsMadeAgain(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	ch := subscribe(t, newSubscriber(t, js, time.Minute, nil))
	publish(t, js, "1")
	next(t, ch).Ack()
	settled(t, js)
	require.NoError(t, js.DeleteConsumer(t.Context(), "EVENTS", topic))
	publish(t, js, "2")
	for m := next(t, ch); m.UUID != "2"; m = next(t, ch) {
		m.Ack()
	}
}

func TestMissingStreamIsWaitedFor(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	ch := subscribe(t, newSubscriber(t, js, time.Minute, nil))
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), "EVENTS"))
	_, err = js.CreateStream(t.Context(), stream.CachedInfo().Config)
	require.NoError(t, err)
	publish(t, js, "1")
	require.Equal(t, "1", next(t, ch).UUID)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	b, js := events(t)
	const total = 900
	ch := subscribe(t, newSubscriber(t, js, time.Second, func(c *wmjs.SubscriberConfig) { c.InFlight = 50 }))
	pub := wmjs.NewPublisher(b.connect(t))
	restart := make(chan struct{})
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := range total {
			if i == total/3 || i == 2*total/3 {
				restart <- struct{}{}
			}
			for !publishWithin(pub, fmt.Sprint(i), time.Second) {
				continue
			}
		}
	}()
	got := map[string]bool{}
	deadline := time.After(2 * soon)
	for len(got) < total {
		select {
		case m := <-ch:
			got[m.UUID] = true
			m.Ack()
		case <-restart:
			b.restart()
		case <-deadline:
			require.FailNow(t, "messages are missing", "%d of %d came", len(got), total)
		}
	}
	<-published
	settled(t, js)
}

// publishWithin reports whether the broker took the message in time; the answer
// of a broker that is being restarted never comes.
func publishWithin(pub *wmjs.Publisher, id string, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m := message.NewMessage(id, nil)
	m.SetContext(ctx)
	return pub.Publish(topic, m) == nil
}

func TestClosedConnectionEndsTheSubscription(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	ch := subscribe(t, newSubscriber(t, js, time.Minute, nil))
	js.Conn().Close()
	closed(t, ch)
}

func TestCancelWhileWaitingForTheBroker(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	js := b.connect(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{topic}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan struct{}, 100)
	sub := newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) {
		resolve := c.Resolve
		c.Resolve = func(topic string) (contract.Consumer, error) {
			opened <- struct{}{}
			return resolve(topic)
		}
	})
	ch, err := sub.Subscribe(ctx, topic)
	require.NoError(t, err)
	<-opened
	require.NoError(t, js.DeleteStream(t.Context(), "EVENTS"))
	<-opened // it tries again
	cancel()
	closed(t, ch)
}
