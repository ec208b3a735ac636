package wmjs_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/telemetry"
)

const (
	oneTrace     = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	anotherTrace = "00-11111111111111111111111111111111-2222222222222222-01"
)

func stored(t *testing.T, js jetstream.JetStream, sequence uint64) *jetstream.RawStreamMsg {
	t.Helper()
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	m, err := stream.GetMsg(t.Context(), sequence)
	require.NoError(t, err)
	return m
}

func TestPublishStoresTheMessage(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	m := message.NewMessage("id-1", []byte("hello"))
	m.Metadata.Set("Nexus-Type", "nexus.job.queued.v1")
	m.Metadata.Set("empty", "")
	require.NoError(t, wmjs.NewPublisher(js).Publish(topic, m))

	got := stored(t, js, 1)
	require.Equal(t, topic, got.Subject)
	require.Equal(t, "hello", string(got.Data))
	require.Equal(t, "id-1", got.Header.Get("Nats-Msg-Id"))
	require.Equal(t, "nexus.job.queued.v1", got.Header.Get("Nexus-Type"))
	require.Equal(t, []string{""}, got.Header.Values("empty"))
}

func TestPublishTwiceStoresOnce(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	publish(t, js, "a", "b", "a")
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, 2, stream.CachedInfo().State.Msgs)
}

func TestPublishWithoutIDIsNeverADuplicate(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	publish(t, js, "", "")
	require.Empty(t, stored(t, js, 2).Header.Get("Nats-Msg-Id"))
}

func TestPublishDropsOrdersToTheBroker(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	m := message.NewMessage("own", nil)
	m.Metadata.Set("Nats-Rollup", "all")
	m.Metadata.Set("Nats-Msg-Id", "somebody else's")
	m.Metadata.Set("nats-expected-stream", "OTHER")
	m.Metadata.Set("Nat", "kept")
	require.NoError(t, wmjs.NewPublisher(js).Publish(topic, m))
	got := stored(t, js, 1).Header
	require.Equal(t, "own", got.Get("Nats-Msg-Id"))
	require.Len(t, got, 2)
}

func TestPublishCarriesTheTrace(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	pub := wmjs.NewPublisher(js)

	m := message.NewMessage("in a trace", nil)
	m.SetContext(telemetry.WithTraceParent(t.Context(), oneTrace))
	m.Metadata.Set("traceparent", anotherTrace)
	require.NoError(t, pub.Publish(topic, m))
	header := stored(t, js, 1).Header
	require.Equal(t, oneTrace, header.Get("Traceparent"))
	require.NotContains(t, header, "traceparent")

	passedOn := message.NewMessage("passed on", nil)
	passedOn.Metadata.Set("Traceparent", anotherTrace)
	require.NoError(t, pub.Publish(topic, passedOn))
	require.Equal(t, anotherTrace, stored(t, js, 2).Header.Get("Traceparent"))

	ctx := telemetry.FromHeader(t.Context(), stored(t, js, 1).Header)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", trace.SpanContextFromContext(ctx).TraceID().String())
}

func TestPublishRefusesWhatAHeaderCannotCarry(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	pub := wmjs.NewPublisher(js)
	for name, value := range map[string]string{"a": "line\nbreak", "b": "line\rbreak", "c": " outer space", "d": "outer space\t"} {
		m := message.NewMessage(name, nil)
		m.Metadata.Set(name, value)
		require.ErrorIs(t, pub.Publish(topic, m), wmjs.ErrMetadata, "%q", value)
	}
	for _, name := range []string{"with space", "colon:", "", "line\nbreak"} {
		m := message.NewMessage("x", nil)
		m.Metadata.Set(name, "v")
		require.Error(t, pub.Publish(topic, m), "%q", name)
	}
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.Zero(t, stream.CachedInfo().State.Msgs)
}

func TestPublishStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	bad := message.NewMessage("2", nil)
	bad.Metadata.Set("x", "\n")
	err := wmjs.NewPublisher(js).Publish(topic, message.NewMessage("1", nil), bad, message.NewMessage("3", nil))
	require.ErrorContains(t, err, "publish message 2 to events")
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, 1, stream.CachedInfo().State.Msgs)
}

func TestPublishToNobodyFails(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	err := wmjs.NewPublisher(js).Publish("no.stream.has.this", message.NewMessage("1", nil))
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
}

func TestPublishRespectsTheContextOfTheMessage(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := message.NewMessageWithContext(ctx, "1", nil)
	require.ErrorIs(t, wmjs.NewPublisher(js).Publish(topic, m), context.Canceled)
}

func TestClosedPublisher(t *testing.T) {
	t.Parallel()
	_, js := events(t)
	pub := wmjs.NewPublisher(js)
	require.NoError(t, pub.Close())
	require.NoError(t, pub.Close())
	require.ErrorIs(t, pub.Publish(topic, message.NewMessage("1", nil)), wmjs.ErrClosed)
	require.False(t, js.Conn().IsClosed())
}
