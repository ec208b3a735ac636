package admission_test

import (
	"encoding/json"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/token"
	"nexus.internal/services/gateway/internal/admission"
)

// Whoever holds ever more keys must not fill the memory: at ten thousand
// answers all are forgotten and asked for again.
func TestMemoryOfKeysIsBounded(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	answer, err := json.Marshal(contract.VerifyReply{KeyID: "1", Owner: "ann", Role: "viewer"})
	require.NoError(t, err)
	var asked atomic.Int64
	_, err = nc.Subscribe(contract.RPCAuthVerify, func(m *nats.Msg) {
		asked.Add(1)
		_ = m.Respond(answer)
	})
	require.NoError(t, err)
	at := time.Now()
	tokens, err := token.NewVerifier(token.Settings{Algorithm: token.HS256, Secret: token.DevSecret, ExpiryMinutes: 15, LifetimeHours: 12}, time.Now)
	require.NoError(t, err)
	a := admission.New(nc, tokens, admission.Options{}, zerolog.Nop(), func() time.Time { return at })
	identify := func(key string) {
		caller, err := a.Identify(t.Context(), admission.Credential{Key: key})
		require.NoError(t, err)
		require.Equal(t, "ann", caller.Owner)
	}
	const most = 10_000
	for i := range most {
		identify("key-" + strconv.Itoa(i))
	}
	identify("key-0")
	require.EqualValues(t, most, asked.Load())
	identify("one more")
	identify("key-0")
	require.EqualValues(t, most+2, asked.Load())
}
