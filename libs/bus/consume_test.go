package bus_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// reader runs Consume on the audit's consumer of events.
type reader struct {
	got    chan jetstream.Msg
	ready  chan struct{}
	done   chan error
	cancel context.CancelFunc
	log    *logbook
}

func read(t *testing.T, js jetstream.JetStream, prefetch int, handle func(jetstream.Msg)) *reader {
	t.Helper()
	r := &reader{got: make(chan jetstream.Msg, 1000), ready: make(chan struct{}), done: make(chan error, 1), log: &logbook{}}
	if handle == nil {
		handle = func(m jetstream.Msg) { r.got <- m }
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	go func() {
		r.done <- bus.Consume(ctx, js, zerolog.New(r.log), contract.StreamEvents, contract.ConsumerAudit, prefetch, func() { close(r.ready) }, handle)
	}()
	t.Cleanup(func() {
		r.cancel()
		require.NoError(t, testkit.Receive(t, r.done))
	})
	testkit.Receive(t, r.ready)
	return r
}

func publish(t *testing.T, js jetstream.JetStream, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		_, err := js.Publish(t.Context(), eventSubject, []byte(fmt.Sprint(i)))
		require.NoError(t, err)
	}
}

func TestConsumeInOrder(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	const n = 200
	publish(t, js, 0, n/2)
	var busy atomic.Bool
	got := make(chan string, n)
	read(t, js, 16, func(m jetstream.Msg) {
		if !busy.CompareAndSwap(false, true) {
			got <- "two at a time"
		}
		got <- string(m.Data())
		busy.Store(false)
		_ = m.Ack()
	})
	publish(t, js, n/2, n)
	for i := range n {
		require.Equal(t, fmt.Sprint(i), testkit.Receive(t, got))
	}
}

func TestConsumeHandsOverWhatWasFetched(t *testing.T) {
	t.Parallel()
	const n, prefetch = 50, 6
	js := testkit.JetStream(t, testkit.NATS(t))
	publish(t, js, 0, n)
	began, goOn := make(chan struct{}, n), make(chan struct{})
	var handled atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- bus.Consume(ctx, js, zerolog.Nop(), contract.StreamEvents, contract.ConsumerAudit, prefetch, func() {}, func(m jetstream.Msg) {
			began <- struct{}{}
			<-goOn
			handled.Add(1)
			_ = m.DoubleAck(context.Background())
		})
	}()
	testkit.Receive(t, began)
	pending := func() int {
		cons, err := js.Consumer(t.Context(), contract.StreamEvents, contract.ConsumerAudit)
		require.NoError(t, err)
		return cons.CachedInfo().NumAckPending
	}
	testkit.Eventually(t, func() bool { return pending() >= prefetch }, "it does not fetch ahead")
	cancel()
	close(goOn)
	require.NoError(t, testkit.Receive(t, done))
	require.GreaterOrEqual(t, handled.Load(), int64(prefetch), "what was fetched is handed over")
	require.LessOrEqual(t, handled.Load(), int64(2*prefetch), "the rest stays for the next reader")
	require.Zero(t, pending())
}

func TestConsumeNeedsItsConsumer(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	never := func() { require.Fail(t, "it was never ready") }
	err := bus.Consume(t.Context(), js, zerolog.Nop(), contract.StreamEvents, "nobody", 1, never, nil)
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
	require.ErrorContains(t, err, "open consumer nobody of NEXUS_EVENTS")
	err = bus.Consume(t.Context(), js, zerolog.Nop(), "NOWHERE", "nobody", 1, never, nil)
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
}

func TestConsumeSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	server := newRestartable(t)
	nc := connect(t, server, zerolog.Nop())
	js, err := bus.JetStream(nc)
	require.NoError(t, err)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(time.Minute)))
	r := read(t, js, 4, nil)
	publish(t, js, 0, 1)
	require.NoError(t, testkit.Receive(t, r.got).Ack())

	server.server.Stop()
	testkit.Eventually(t, func() bool { return !nc.IsConnected() }, "the connection did not notice")
	server.start(t)
	testkit.Eventually(t, nc.IsConnected, "the connection did not come back")
	publish(t, js, 1, 2)
	for {
		m := testkit.Receive(t, r.got)
		if string(m.Data()) == "1" {
			break
		}
	}
}

func TestConsumeGoesOnWithAConsumerThatIsMadeAnew(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	r := read(t, js, 4, nil)
	publish(t, js, 0, 1)
	require.NoError(t, testkit.Receive(t, r.got).DoubleAck(t.Context()))
	require.NoError(t, js.DeleteConsumer(t.Context(), contract.StreamEvents, contract.ConsumerAudit))
	testkit.Eventually(t, func() bool { return strings.Contains(r.log.String(), "reading was interrupted; trying again") }, "it did not notice")
	require.Empty(t, r.done)
	require.NoError(t, bus.Provision(t.Context(), js, nil, contract.Consumers(testkit.Lease)))
	publish(t, js, 1, 2)
	for {
		m := testkit.Receive(t, r.got)
		if string(m.Data()) == "1" {
			break
		}
	}
}

func TestConsumeEndsWhileItWaitsToTryAgain(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	r := read(t, js, 4, nil)
	publish(t, js, 0, 1)
	testkit.Receive(t, r.got)
	require.NoError(t, js.DeleteConsumer(t.Context(), contract.StreamEvents, contract.ConsumerAudit))
	testkit.Eventually(t, func() bool { return strings.Contains(r.log.String(), "trying again") }, "it did not notice")
	r.cancel()
	err := testkit.Receive(t, r.done)
	r.done <- err
	require.NoError(t, err)
}
