package door_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/token"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/door"
	"nexus.internal/services/gateway/internal/limit"
)

// reader panics over some bodies.
type reader struct{}

func (reader) Read(body []byte, jobType string) (admission.Ask, error) {
	if strings.Contains(string(body), "bad") {
		panic("nil dereference")
	}
	return admission.Ask{JobType: jobType, ExecutionMode: contract.ModeAsync}, nil
}

type free struct{}

func (free) Take(context.Context, identity.Caller) limit.Verdict { return limit.Verdict{Allowed: true} }

type submitter chan contract.Submission

func (s submitter) Submit(_ context.Context, sub contract.Submission) (contract.SubmitVerdict, error) {
	s <- sub
	return contract.SubmitVerdict{}, nil
}

// A message that makes the door panic becomes a dead letter at once, its owner is
// told, and the messages behind it are handled.
func TestAPanicCostsItsMessage(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	rpc := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "everybody")
	bus.Handle(rpc, contract.RPCAuthOwner, func(context.Context, contract.OwnerRequest) (contract.VerifyReply, error) {
		return contract.VerifyReply{KeyID: uuid.NewString(), Owner: "ann", Role: "operator"}, nil
	})
	bus.Handle(rpc, contract.RPCJobsTypes, func(context.Context, struct{}) (contract.JobTypesReply, error) {
		return contract.JobTypesReply{JobTypes: []contract.JobType{{Name: "t", Enabled: true, MaxAttempts: 1}}}, nil
	})
	tokens, err := token.NewVerifier(token.Settings{Algorithm: token.HS256, Secret: token.DevSecret, ExpiryMinutes: 15, LifetimeHours: 12}, time.Now)
	require.NoError(t, err)
	admit := admission.New(nc, tokens, admission.Options{AsyncEnabled: true, MaxPayload: 1 << 20}, zerolog.Nop(), time.Now)
	recorded := make(submitter, 10)
	pub := bus.NewPublisher(js, "gateway", time.Now)
	testkit.Start(t, rpc, door.New(js, reader{}, admit, free{}, recorded, pub, zerolog.Nop(), noop.NewTracerProvider(), time.Now))
	dead, rejected := make(chan string, 10), make(chan []byte, 10)
	for stream, to := range map[string]func(jetstream.Msg){
		contract.StreamDead:   func(m jetstream.Msg) { dead <- m.Headers().Get(contract.HeaderReason) + " " + string(m.Data()) },
		contract.StreamEvents: func(m jetstream.Msg) { rejected <- m.Data() },
	} {
		cons, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{})
		require.NoError(t, err)
		reading, err := cons.Consume(to)
		require.NoError(t, err)
		t.Cleanup(reading.Stop)
	}
	for _, body := range []string{"bad", "good"} {
		_, err := js.Publish(t.Context(), "nexus.submit.ann.t", []byte(body))
		require.NoError(t, err)
	}
	require.Equal(t, "ann", testkit.Receive(t, recorded).CreatedBy)
	require.Equal(t, "internal: panic: nil dereference bad", testkit.Receive(t, dead))
	require.Contains(t, string(testkit.Receive(t, rejected)), `"code":"internal"`)
	testkit.Eventually(t, func() bool {
		stream, err := js.Stream(t.Context(), contract.StreamSubmit)
		return err == nil && stream.CachedInfo().State.Msgs == 0
	}, "the messages were not settled")
}
