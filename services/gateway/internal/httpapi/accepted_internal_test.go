package httpapi

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

// However long the recorder is away, the memory of accepted jobs is bounded.
func TestAcceptedIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	a := newAccepted(func() time.Time { return now })
	fill := func(prefix string) {
		for i := range maxAccepted + 10 {
			a.add(contract.Submission{JobID: prefix + strconv.Itoa(i)})
		}
		require.Len(t, a.jobs, maxAccepted)
	}
	fill("first-")
	_, ok := a.get("first-0")
	require.True(t, ok)
	_, ok = a.get("first-" + strconv.Itoa(maxAccepted))
	require.False(t, ok, "there is no room for more")

	now = now.Add(acceptedFor + time.Nanosecond)
	fill("second-")
	_, ok = a.get("first-0")
	require.False(t, ok)
	_, ok = a.get("second-0")
	require.True(t, ok, "what is too old makes room")
}
