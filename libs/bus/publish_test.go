package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/testkit"
)

const eventSubject = "nexus.events.job.queued.noop"

// at is when everything happens, in a zone that is not UTC.
func at() time.Time {
	return time.Date(2024, 2, 29, 12, 0, 0, 123_000_000, time.FixedZone("CET", 3600))
}

func message(id string) bus.Message {
	return bus.Message{Subject: eventSubject, ID: id, Type: "nexus.test.v1", Body: json.RawMessage(`{"id":"` + id + `"}`)}
}

func stream(t *testing.T, js jetstream.JetStream, name string) jetstream.Stream {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	require.NoError(t, err)
	return s
}

func count(t *testing.T, s jetstream.Stream) int {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return int(info.State.Msgs)
}

func TestPublishedMessagesAreStored(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	p := bus.NewPublisher(js, "jobs", at)
	traced := message("a")
	traced.TraceParent, traced.RequestID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "r-1"
	require.NoError(t, p.Publish(t.Context(), traced, message("b")))
	events := stream(t, js, contract.StreamEvents)
	require.Equal(t, 2, count(t, events), "they are stored when Publish returns")
	first, err := events.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, eventSubject, first.Subject)
	require.JSONEq(t, `{"id":"a"}`, string(first.Data))
	// The server adds these when it hands the message out.
	for _, name := range []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"} {
		delete(first.Header, name)
	}
	require.Equal(t, nats.Header{
		"Nats-Msg-Id": {"a"}, "Nexus-Type": {"nexus.test.v1"}, "Nexus-Source": {"jobs"}, "Nexus-Time": {"2024-02-29T11:00:00.123Z"},
		"Traceparent": {traced.TraceParent}, "Nexus-Request-Id": {"r-1"},
	}, first.Header)
	second, err := events.GetMsg(t.Context(), 2)
	require.NoError(t, err)
	require.NotContains(t, second.Header, "Traceparent")
	require.NotContains(t, second.Header, contract.HeaderRequestID)
	require.NoError(t, p.Publish(t.Context()), "nothing to publish is published at once")
}

func TestSameIDIsStoredOnce(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	p := bus.NewPublisher(js, "jobs", at)
	for range 3 {
		require.NoError(t, p.Publish(t.Context(), message("a"), message("b"), message("a")))
	}
	require.Equal(t, 2, count(t, stream(t, js, contract.StreamEvents)))
}

func TestManyMessagesInOrder(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	const n = 500
	messages := make([]bus.Message, n)
	for i := range messages {
		messages[i] = message(fmt.Sprint(i))
	}
	require.NoError(t, bus.NewPublisher(js, "jobs", time.Now).Publish(t.Context(), messages...))
	events := stream(t, js, contract.StreamEvents)
	require.Equal(t, n, count(t, events))
	for _, i := range []int{0, 1, n / 2, n - 1} {
		got, err := events.GetMsg(t.Context(), uint64(i+1))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), got.Header.Get("Nats-Msg-Id"))
	}
}

func TestSendAddsHeaders(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	f, err := bus.NewPublisher(js, "jobs", at).Send(message("a"), nats.Header{contract.HeaderReplyTo: {"_INBOX.x"}, contract.HeaderSource: {"gateway"}})
	require.NoError(t, err)
	ack := testkit.Receive(t, f.Ok())
	require.Equal(t, contract.StreamEvents, ack.Stream)
	got, err := stream(t, js, contract.StreamEvents).GetMsg(t.Context(), ack.Sequence)
	require.NoError(t, err)
	require.Equal(t, "_INBOX.x", got.Header.Get(contract.HeaderReplyTo))
	require.Equal(t, "gateway", got.Header.Get(contract.HeaderSource))
	require.Equal(t, "nexus.test.v1", got.Header.Get(contract.HeaderType))
}

func TestMessagesNobodyKeeps(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	p := bus.NewPublisher(js, "jobs", at)
	lost := message("a")
	lost.Subject = "nexus.unknown"
	err := p.Publish(t.Context(), message("kept"), lost)
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "publish to nexus.unknown")
	require.Equal(t, 1, count(t, stream(t, js, contract.StreamEvents)))
}

func TestMessagesTooLargeForTheBroker(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	p := bus.NewPublisher(js, "jobs", at)
	large := message("large")
	large.Body = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	err := p.Publish(t.Context(), large)
	require.Equal(t, fault.TooLarge, fault.KindOf(err), "%v", err)
	_, err = p.Send(large, nil)
	require.Equal(t, fault.TooLarge, fault.KindOf(err), "%v", err)
	require.Equal(t, fault.TooLarge, fault.KindOf(bus.PublishFault("x", nats.ErrMaxPayload)))
	fits := message("fits")
	fits.Body = json.RawMessage(`"` + strings.Repeat("x", contract.MaxMessage-2) + `"`)
	require.NoError(t, p.Publish(t.Context(), fits), "what the contract allows leaves room for headers")
}

func TestFullWorkQueueRefuses(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	work := contract.Stream{Name: "SMALL", Subjects: []string{"small.>"}, Retention: contract.RetainUntilDone, MaxBytes: 4 << 10, Duplicates: time.Second}
	require.NoError(t, bus.Provision(t.Context(), js, []contract.Stream{work}, nil))
	p := bus.NewPublisher(js, "jobs", at)
	var err error
	stored := 0
	for ; err == nil && stored < 100; stored++ {
		m := message(fmt.Sprint(stored))
		m.Subject = "small.work"
		m.Body = json.RawMessage(`"` + strings.Repeat("x", 500) + `"`)
		err = p.Publish(t.Context(), m)
	}
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "maximum bytes exceeded")
	require.Equal(t, stored-1, count(t, stream(t, js, "SMALL")), "what was stored before stays")
}

func TestBrokerAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	r := newRestartable(t)
	// Nothing is kept for later while the connection is down.
	nc := connect(t, r, zerolog.Nop(), nats.ReconnectBufSize(-1))
	js, err := bus.JetStream(nc)
	require.NoError(t, err)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), nil))
	p := bus.NewPublisher(js, "jobs", at)
	require.NoError(t, p.Publish(t.Context(), message("before")))

	r.server.Stop()
	testkit.Eventually(t, func() bool { return !nc.IsConnected() }, "the connection did not notice")
	err = p.Publish(t.Context(), message("meanwhile"))
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)

	r.start(t)
	testkit.Eventually(t, nc.IsConnected, "the connection did not come back")
	require.NoError(t, p.Publish(t.Context(), message("meanwhile"), message("before")), "the same ids again")
	require.Equal(t, 2, count(t, stream(t, js, contract.StreamEvents)))

	nc.Close()
	err = p.Publish(t.Context(), message("too late"))
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
}

func TestPublishWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	// Somebody takes the message and never acknowledges it.
	sub, err := nc.SubscribeSync("nexus.silent")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		m := message("a")
		m.Subject = "nexus.silent"
		done <- bus.NewPublisher(testkit.JetStream(t, nc), "jobs", at).Publish(ctx, m)
	}()
	_, err = sub.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	require.Empty(t, done, "it waits for the broker's word")
	cancel()
	err = testkit.Receive(t, done)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "publish to nexus.silent")
}

func TestEventMessages(t *testing.T) {
	t.Parallel()
	first := contract.Event{
		ID: contract.JobEventID("job-1", 2), Type: contract.EventType(contract.AreaJob, "queued"), Time: at().UTC(), Source: "jobs", Actor: "alice",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data: json.RawMessage(`{}`),
	}
	second := first
	second.ID, second.TraceParent = contract.JobEventID("job-2", 1), ""
	m, err := bus.EventMessage(contract.AreaJob, "queued", "noop", first, second)
	require.NoError(t, err)
	require.Equal(t, eventSubject, m.Subject)
	require.Equal(t, "job-1/2", m.ID)
	require.Equal(t, "nexus.job.queued.v1", m.Type)
	require.Equal(t, first.TraceParent, m.TraceParent)
	pack, err := contract.DecodeEvents(m.Body)
	require.NoError(t, err)
	require.Equal(t, []contract.Event{first, second}, pack)

	_, err = bus.EventMessage(contract.AreaJob, "queued", "no op", first)
	require.ErrorContains(t, err, "name an event")
	_, err = bus.EventMessage(contract.AreaJob, "queued", "noop")
	require.ErrorContains(t, err, "a pack holds 1 to 64 events, not 0")
	_, err = bus.EventMessage(contract.AreaJob, "queued", "noop", make([]contract.Event, contract.MaxEventsPerMessage+1)...)
	require.ErrorContains(t, err, "not 65")
}

func TestTraceHeader(t *testing.T) {
	t.Parallel()
	require.Empty(t, bus.TraceHeader(t.Context()))
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	require.Equal(t, nats.Header{"Traceparent": {parent}}, bus.TraceHeader(telemetry.WithTraceParent(t.Context(), parent)))
}
