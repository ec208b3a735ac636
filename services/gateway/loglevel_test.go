package gateway_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

// An admin changes the log level of all services or of one; the audit trail learns
// who did, and everybody else is refused.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway()
	admin := g.role(identity.Admin)
	var got contract.LogLevels
	admin.send(http.MethodGet, "/api/v1/log-level", "").is(http.StatusOK, &got)
	require.Equal(t, []contract.LogLevel{{Service: "audit", Instance: "w-1", Level: "info"}, {Service: "jobs", Instance: "w-1", Level: "info"}}, got.Services)
	admin.send(http.MethodPut, "/api/v1/log-level", `{"level":"debug"}`).is(http.StatusOK, &got)
	require.Len(t, got.Services, 2)
	require.Equal(t, "debug", got.Services[0].Level)
	admin.send(http.MethodPut, "/api/v1/log-level", `{"level":"warn","service":"jobs"}`).is(http.StatusOK, &got)
	require.Equal(t, []contract.LogLevel{{Service: "jobs", Instance: "w-1", Level: "warn"}}, got.Services)

	cons, err := w.js.OrderedConsumer(t.Context(), contract.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{contract.LogEvents}})
	require.NoError(t, err)
	for _, want := range []contract.LogLevelChange{{Service: contract.AllServices, Level: "debug"}, {Service: "jobs", Level: "warn"}} {
		msg, err := cons.Next()
		require.NoError(t, err)
		events, err := contract.DecodeEvents(msg.Data())
		require.NoError(t, err)
		var change contract.LogLevelChange
		require.NoError(t, json.Unmarshal(events[0].Data, &change))
		require.Equal(t, want, change)
		require.Equal(t, ownerOf(identity.Admin), events[0].Actor)
		require.NotEmpty(t, events[0].RequestID)
	}

	for _, bad := range []string{`{}`, `{"level":"loud"}`, `{"level":"info","service":"weather"}`, `{"level":7}`, `{"level":"info","for":"ever"}`} {
		admin.send(http.MethodPut, "/api/v1/log-level", bad).fails(http.StatusUnprocessableEntity, "validation_error")
	}
	admin.send(http.MethodGet, "/api/v1/log-level?service=weather", "").fails(http.StatusUnprocessableEntity, "validation_error")
	admin.send(http.MethodPut, "/api/v1/log-level", `{"level":"info","service":"corpus"}`).fails(http.StatusServiceUnavailable, "unavailable")
	g.role(identity.Researcher).send(http.MethodPut, "/api/v1/log-level", `{"level":"info"}`).fails(http.StatusForbidden, "forbidden")
}
