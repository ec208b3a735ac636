package outbox_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/testkit"
)

// A row the broker refuses for good stays, and the rows behind it are sent.
func TestPoisonRowBlocksNobody(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	js := testkit.JetStream(t, testkit.NATS(t))
	o := outbox.New(db, schema, bus.NewPublisher(js, "jobs", time.Now), zerolog.Nop())
	large := messages(1)
	large[0].Body = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	commit(t, db, o, large)
	for range 3 {
		commit(t, db, o, messages(1))
	}
	_, _ = o.Relay(t.Context(), 0)
	require.EqualValues(t, 3, stored(t, js))
}
