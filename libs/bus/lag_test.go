package bus_test

import (
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/testkit"
)

func TestTheBrokerIsMeasured(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	p, err := metrics.New(metrics.Options{})
	require.NoError(t, err)
	publish := func() {
		_, err := js.Publish(t.Context(), contract.SubjectSubmitJobs, []byte("{}"))
		require.NoError(t, err)
	}
	// Alone, so that it is the one that comes again.
	publish()
	cons, err := js.Consumer(t.Context(), contract.StreamCommands, contract.ConsumerRecorder)
	require.NoError(t, err)
	got, err := cons.Fetch(1)
	require.NoError(t, err)
	msg := <-got.Messages()
	require.NoError(t, msg.Nak())
	again, err := cons.Fetch(1)
	require.NoError(t, err)
	<-again.Messages()
	publish()
	publish()
	testkit.Start(t, bus.NewMeter(js, p.For("jobs"), zerolog.Nop(), func() []bus.ConsumerName {
		return []bus.ConsumerName{{Stream: contract.StreamCommands, Durable: contract.ConsumerRecorder}, {Stream: contract.StreamCommands, Durable: "nobody"}}
	}, contract.StreamCommands))
	const (
		recorder = `{consumer="jobs-recorder",service="jobs",stream="NEXUS_COMMANDS"}`
		nobody   = `{consumer="nobody",service="jobs",stream="NEXUS_COMMANDS"}`
	)
	testkit.Eventually(t, func() bool {
		return testkit.Scrape(t, p.Exposition)["nexus_consumer_up"+recorder] == 1
	}, "the consumer is not measured")
	// The one before may have begun before there was anything to tell.
	seen := testkit.Scrape(t, p.Exposition)
	for series, want := range map[string]float64{
		"nexus_consumer_lag" + recorder: 2, "nexus_consumer_ack_pending" + recorder: 1, "nexus_consumer_redeliveries" + recorder: 1,
		"nexus_consumer_up" + nobody: 0, `nexus_stream_messages{stream="NEXUS_COMMANDS"}`: 3,
	} {
		require.InDelta(t, want, seen[series], 0, series)
	}
	require.NotContains(t, seen, "nexus_consumer_lag"+nobody)
	require.Positive(t, seen[`nexus_stream_limit_bytes{stream="NEXUS_COMMANDS"}`])
}

func TestNothingIsAskedWhereNothingIsMeasured(t *testing.T) {
	t.Parallel()
	testkit.Start(t, bus.NewMeter(nil, nil, zerolog.Nop(), func() []bus.ConsumerName {
		t.Error("somebody asks")
		return nil
	}))
}
