package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// While replicas are replaced one after the other, no request fails.
func TestReplacedReplicasLoseNoRequest(t *testing.T) {
	t.Parallel()
	const askers, rounds = 8, 5
	server := testkit.NATSServer(t)
	replica := func() (stop func()) {
		rpc := bus.NewRPC(testkit.Connect(t, server), zerolog.Nop(), noop.NewTracerProvider(), "test")
		bus.Handle(rpc, "nexus.rpc.test.work", func(context.Context, question) (answer, error) {
			return answer{"done"}, nil
		})
		return testkit.Start(t, rpc)
	}
	stop := replica()
	ctx, end := context.WithCancel(t.Context())
	errs := make(chan error, askers)
	for range askers {
		nc := testkit.Connect(t, server)
		go func() {
			var err error
			for err == nil && ctx.Err() == nil {
				_, err = bus.Call[answer](t.Context(), nc, "nexus.rpc.test.work", question{})
			}
			errs <- err
		}()
	}
	for range rounds {
		next := replica()
		stop()
		stop = next
	}
	end()
	for range askers {
		require.NoError(t, testkit.Receive(t, errs))
	}
}

// A service that is about to come, or that comes back, is waited for.
func TestARequestWaitsForAServiceThatComes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	answered := make(chan error, 1)
	go func() {
		_, err := bus.Call[struct{}](t.Context(), s.caller, contract.RPCPing("test"), struct{}{})
		answered <- err
	}()
	testkit.Eventually(t, func() bool { return s.caller.Stats().OutMsgs > 1 }, "it asks again")
	testkit.Start(t, s.rpc)
	require.NoError(t, testkit.Receive(t, answered))
}

// A replica that stops sends back what it has not begun; whoever asked asks again.
func TestWhatAStoppingServiceSendsBackIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sub, err := s.own.SubscribeSync("nexus.rpc.test.work")
	require.NoError(t, err)
	require.NoError(t, s.own.Flush())
	answered := make(chan error, 1)
	go func() {
		got, err := bus.Call[answer](t.Context(), s.caller, "nexus.rpc.test.work", question{})
		if err == nil && got.Text != "done" {
			err = nats.ErrBadHeaderMsg
		}
		answered <- err
	}()
	msg, err := sub.NextMsg(10 * time.Second)
	require.NoError(t, err)
	require.NoError(t, msg.RespondMsg(&nats.Msg{Header: nats.Header{micro.ErrorCodeHeader: {"stopping"}}}))
	msg, err = sub.NextMsg(10 * time.Second)
	require.NoError(t, err)
	require.Equal(t, `{"n":0}`, string(msg.Data), "the same request")
	require.NoError(t, msg.Respond([]byte(`{"text":"done"}`)))
	require.NoError(t, testkit.Receive(t, answered))
}
