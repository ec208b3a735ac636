package bus_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
)

// What will pass by itself is not our mistake: the requester may try again.
func TestErrorsThatPass(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	errAway := errors.New("the database is away")
	rpc := bus.NewRPC(nc, zerolog.Nop(), noop.NewTracerProvider(), "passing")
	rpc.Passing(func(err error) bool { return errors.Is(err, errAway) })
	for subject, answer := range map[string]error{"passing.away": errAway, "passing.bug": errors.New("a bug"), "passing.gone": fault.NotFoundf("no")} {
		bus.Handle(rpc, subject, func(context.Context, struct{}) (struct{}, error) { return struct{}{}, answer })
	}
	testkit.Start(t, rpc)
	for subject, want := range map[string]fault.Kind{"passing.away": fault.Unavailable, "passing.bug": fault.Internal, "passing.gone": fault.NotFound} {
		_, err := bus.Call[struct{}](t.Context(), nc, subject, struct{}{})
		require.Equal(t, want, fault.KindOf(err), subject)
		require.NotContains(t, err.Error(), "database")
	}
}
