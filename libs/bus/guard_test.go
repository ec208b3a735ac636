package bus_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/testkit"
)

// A message that makes its handler panic stays with the broker, and those behind it
// are handled.
func TestConsumeSurvivesAPanic(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	got := make(chan string, 10)
	r := read(t, js, 4, func(m jetstream.Msg) {
		if string(m.Data()) == "1" {
			panic("one")
		}
		got <- string(m.Data())
		_ = m.Ack()
	})
	publish(t, js, 0, 3)
	require.Equal(t, "0", testkit.Receive(t, got))
	require.Equal(t, "2", testkit.Receive(t, got))
	require.Contains(t, r.log.String(), "a handler of messages panicked")
	require.Contains(t, r.log.String(), "guard_test.go", "the log says where")
}

func TestGuardedSubscriptions(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	log, got := &logbook{}, make(chan string, 10)
	sub, err := nc.Subscribe("guarded", bus.Guarded(zerolog.New(log), func(m *nats.Msg) {
		if string(m.Data) == "bad" {
			panic("bad")
		}
		got <- string(m.Data)
	}))
	require.NoError(t, err)
	defer func() { require.NoError(t, sub.Unsubscribe()) }()
	for _, text := range []string{"bad", "good"} {
		require.NoError(t, nc.Publish("guarded", []byte(text)))
	}
	require.Equal(t, "good", testkit.Receive(t, got))
	require.Contains(t, log.String(), `"subject":"guarded"`)
}

func TestTries(t *testing.T) {
	t.Parallel()
	tries := bus.NewTries(3)
	require.Equal(t, []bool{false, false, true}, []bool{tries.Over("a"), tries.Over("a"), tries.Over("a")})
	require.False(t, tries.Over("b"))
	tries.Done("a")
	require.False(t, tries.Over("a"))
}
