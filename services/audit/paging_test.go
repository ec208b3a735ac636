package audit_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/services/audit"
)

// A reader that goes from page to page sees each entry once, in either order,
// though entries come in between.
func TestPagesByCursor(t *testing.T) {
	t.Parallel()
	h := start(t)
	for i := range 25 {
		id := fmt.Sprintf("e%02d", i)
		h.publish(id, event(id))
	}
	h.quiet()
	for _, oldest := range []bool{false, true} {
		seen := map[string]int{}
		q := contract.AuditQuery{Limit: 10, OldestFirst: oldest}
		pages := 0
		for {
			page, err := bus.Call[contract.AuditReply](t.Context(), h.nc, contract.RPCAuditLogs, q)
			require.NoError(t, err)
			pages++
			for _, e := range page.Entries {
				seen[e.EventID]++
			}
			if page.NextCursor == "" {
				break
			}
			q.Cursor = page.NextCursor
		}
		require.Equal(t, 3, pages)
		require.Len(t, seen, 25)
		for id, n := range seen {
			require.Equal(t, 1, n, id)
		}
	}
	v, err := audit.Verify(t.Context(), h.db, audit.Range{})
	require.NoError(t, err)
	require.EqualValues(t, 25, v.Entries)
	again, err := audit.Verify(t.Context(), h.db, audit.Range{Expect: v.Head})
	require.NoError(t, err)
	require.Equal(t, v, again)
	for _, bad := range []string{"1:00", "99" + v.Head, v.Head + "0"} {
		_, err := audit.Verify(t.Context(), h.db, audit.Range{Expect: bad})
		require.ErrorIs(t, err, audit.ErrBroken, bad)
	}
	_, err = audit.Verify(t.Context(), h.db, audit.Range{Expect: "nonsense"})
	require.ErrorContains(t, err, "is not a head")
}
