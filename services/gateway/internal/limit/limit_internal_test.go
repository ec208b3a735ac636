package limit

import (
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

func TestSweepForgetsWhatIsFull(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	l := New(nil, "a", zerolog.Nop(), func() time.Time { return now })
	l.Allow(t.Context(), "old", 10)
	now = now.Add(idle / 2)
	l.Allow(t.Context(), "young", 10)
	now = now.Add(idle / 2)
	l.sweep()
	require.EqualValues(t, 1, l.named.Load())
	require.Equal(t, 9, l.Allow(t.Context(), "young", 10).Remaining, "half a minute has filled it")
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	l := New(nil, "a", zerolog.Nop(), func() time.Time { return now })
	for i := range maxBuckets {
		require.True(t, l.Allow(t.Context(), fmt.Sprint(i), 1).Allowed)
	}
	require.True(t, l.Allow(t.Context(), "one more", 1).Allowed)
	require.False(t, l.Allow(t.Context(), "and another", 1).Allowed, "both share one bucket")
	require.True(t, l.Allow(t.Context(), "and another", 2).Allowed, "of each limit")
	require.False(t, l.Allow(t.Context(), "0", 1).Allowed, "what is known stays known")
	for i := range maxOverflow + 10 {
		require.True(t, l.Allow(t.Context(), "another limit", 3+i).Allowed)
	}
	require.EqualValues(t, maxBuckets, l.named.Load())
	require.EqualValues(t, maxOverflow, l.shared.Load())
	require.Zero(t, l.grant(contract.TakeRequest{Bucket: "new", PerMinute: 5000, Want: 1}))
	now = now.Add(idle)
	l.sweep()
	require.Zero(t, l.named.Load()+l.shared.Load())
}

func TestKeepersAreSpreadAndStay(t *testing.T) {
	t.Parallel()
	three := &view{self: "gw-1", peers: []*peer{{id: "gw-2"}, {id: "gw-3"}}}
	two := &view{self: "gw-1", peers: three.peers[:1]}
	kept := map[string]int{}
	for i := range 3000 {
		name := fmt.Sprint("key:", i)
		p := three.keeper(name)
		id := three.self
		if p != nil {
			id = p.id
		}
		kept[id]++
		if id != "gw-3" {
			require.Equal(t, p, two.keeper(name), "only the buckets of the one that left move")
		}
	}
	for id, n := range kept {
		require.InDelta(t, 1000, n, 150, id)
	}
}
