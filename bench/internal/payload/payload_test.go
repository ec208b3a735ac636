package payload_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/payload"
)

func TestPayloadsHaveTheirSizeAndDiffer(t *testing.T) {
	t.Parallel()
	pool := payload.Pool(1200)
	encoded, err := payload.Encode(pool)
	require.NoError(t, err)
	seen := map[string]bool{}
	for i, e := range encoded {
		require.Len(t, e, payload.Size)
		var back payload.Args
		require.NoError(t, json.Unmarshal(e, &back))
		require.Equal(t, pool[i], back)
		seen[back.Pad] = true
	}
	require.Len(t, seen, len(pool))
	require.Equal(t, pool, payload.Pool(1200), "every program makes the same ones")
}
