package wmjs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
)

const (
	// soon bounds every wait for something that has to happen.
	soon = 20 * time.Second
	// topic is the durable consumer of most tests, and also its subject.
	topic = "events"
)

// broker is a NATS server that can be restarted on the same port and files.
type broker struct {
	t    *testing.T
	log  zerolog.Logger
	opts server.Options
	srv  *server.Server
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{t: t, log: zerolog.Nop(), opts: server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}}
	require.NoError(t, b.start())
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() error {
	opts := b.opts
	srv, err := server.NewServer(&opts)
	if err != nil {
		return fmt.Errorf("make the server: %w", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(soon) {
		return errors.New("the server did not start")
	}
	b.srv, b.opts.Port = srv, opts.Port
	return nil
}

func (b *broker) stop() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

func (b *broker) restart() {
	b.t.Helper()
	b.stop()
	require.NoError(b.t, b.start())
}

// connect opens a connection that is closed when the test ends.
func (b *broker) connect(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(b.srv.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	// The suites keep the server busier than any service does.
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(soon))
	require.NoError(t, err)
	return js
}

// events starts a broker with one stream.
func events(t *testing.T) (*broker, jetstream.JetStream) {
	t.Helper()
	b := startBroker(t)
	js := b.connect(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{topic, topic + ".>"}})
	require.NoError(t, err)
	return b, js
}

func consumer(ackWait time.Duration) contract.Consumer {
	return contract.Consumer{Stream: "EVENTS", Durable: topic, Filter: topic, AckWait: ackWait, MaxAckPending: 1000}
}

func newSubscriber(t *testing.T, js jetstream.JetStream, ackWait time.Duration, change func(*wmjs.SubscriberConfig)) *wmjs.Subscriber {
	t.Helper()
	cfg := wmjs.SubscriberConfig{
		Resolve:    wmjs.Durables([]contract.Consumer{consumer(ackWait)}),
		InFlight:   5,
		RetryDelay: func(int) time.Duration { return time.Millisecond },
		Grace:      time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	sub, err := wmjs.NewSubscriber(js, zerolog.Nop(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	return sub
}

func subscribe(t *testing.T, sub *wmjs.Subscriber) <-chan *message.Message {
	t.Helper()
	ch, err := sub.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	return ch
}

func publish(t *testing.T, js jetstream.JetStream, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, wmjs.NewPublisher(js).Publish(topic, message.NewMessage(id, []byte("body of "+id))))
	}
}

func next(t *testing.T, ch <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, ok := <-ch:
		require.True(t, ok, "the subscription ended")
		return m
	case <-time.After(soon):
		require.FailNow(t, "no message came")
		return nil
	}
}

func closed(t *testing.T, ch <-chan *message.Message) {
	t.Helper()
	select {
	case _, ok := <-ch:
		require.False(t, ok, "a message came after the end")
	case <-time.After(soon):
		require.FailNow(t, "the channel stays open")
	}
}

func done(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(soon):
		require.FailNow(t, "the context does not end")
	}
}

func info(t *testing.T, js jetstream.JetStream) *jetstream.ConsumerInfo {
	t.Helper()
	cons, err := js.Consumer(t.Context(), "EVENTS", topic)
	require.NoError(t, err)
	i, err := cons.Info(t.Context())
	require.NoError(t, err)
	return i
}

// settled waits until the broker holds nothing back for anyone.
func settled(t *testing.T, js jetstream.JetStream) *jetstream.ConsumerInfo {
	t.Helper()
	var i *jetstream.ConsumerInfo
	require.Eventually(t, func() bool {
		i = info(t, js)
		return i.NumAckPending == 0 && i.NumPending == 0
	}, soon, 5*time.Millisecond)
	return i
}
