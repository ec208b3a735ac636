package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/audit/internal/query"
	"nexus.internal/services/audit/internal/store"
)

const megabyte = 1 << 20

func maxMessage() int64 { return megabyte }

// lister answers every query in the same way.
type lister func(q contract.AuditQuery, maxDetails int) ([]contract.AuditEntry, error)

func (l lister) List(_ context.Context, q contract.AuditQuery, _ *store.Place, maxDetails int) ([]contract.AuditEntry, error) {
	return l(q, maxDetails)
}

// full has as many entries as are asked for, with the largest details there
// can be: angle brackets take six times their room in a reply.
func full(q contract.AuditQuery, maxDetails int) ([]contract.AuditEntry, error) {
	entries := make([]contract.AuditEntry, q.Limit)
	for i := range entries {
		entries[i] = contract.AuditEntry{ID: int64(i), Details: json.RawMessage(`"` + strings.Repeat("<", maxDetails-2) + `"`)}
	}
	return entries, nil
}

func TestListRefusesBadQueries(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]contract.AuditQuery{
		"a negative limit":    {Limit: -1},
		"too high a limit":    {Limit: 1001},
		"a negative offset":   {Offset: -1},
		"a NUL in the action": {Action: "a\x00"},
		"a NUL in the actor":  {Actor: "\x00"},
		"a NUL in the id":     {RequestID: "\x00"},
		"a NUL in the event":  {EventID: "\x00"},
		"cursor and offset":   {Cursor: "MS4x", Offset: 1},
		"no cursor of ours":   {Cursor: "nonsense"},
		"half a cursor":       {Cursor: "MS4"},
		"cursor with a tail":  {Cursor: "MS4xIA"},
	} {
		_, err := query.New(lister(full), maxMessage).List(t.Context(), q)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err), name)
	}
}

func TestListLimits(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{0: 100, 1: 1, 1000: 1000} {
		var asked contract.AuditQuery
		logs := query.New(lister(func(q contract.AuditQuery, _ int) ([]contract.AuditEntry, error) {
			asked = q
			return []contract.AuditEntry{{ID: 1, Details: json.RawMessage("{}")}}, nil
		}), maxMessage)
		reply, err := logs.List(t.Context(), contract.AuditQuery{Limit: limit, Offset: 7, Action: "a", Actor: "b"})
		require.NoError(t, err)
		require.Equal(t, contract.AuditQuery{Limit: want, Offset: 7, Action: "a", Actor: "b"}, asked)
		require.Equal(t, want, reply.Limit, "a page with fewer entries than its limit is the last")
		require.Equal(t, 7, reply.Offset)
		require.Len(t, reply.Entries, 1)
	}
}

func TestListFitsIntoOneMessage(t *testing.T) {
	t.Parallel()
	reply, err := query.New(lister(full), maxMessage).List(t.Context(), contract.AuditQuery{Limit: 1000})
	require.NoError(t, err)
	require.NotEmpty(t, reply.Entries)
	require.Len(t, reply.Entries, reply.Limit, "there is more")
	out, err := json.Marshal(reply)
	require.NoError(t, err)
	require.Less(t, len(out), megabyte)
	require.Greater(t, len(out), megabyte/3, "as much as fits")
}

func TestListErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := query.New(lister(func(contract.AuditQuery, int) ([]contract.AuditEntry, error) { return nil, broken }), maxMessage).
		List(t.Context(), contract.AuditQuery{})
	require.ErrorIs(t, err, broken)

	_, err = query.New(lister(func(contract.AuditQuery, int) ([]contract.AuditEntry, error) {
		return []contract.AuditEntry{{ID: 9, Details: json.RawMessage("{")}}, nil
	}), maxMessage).List(t.Context(), contract.AuditQuery{})
	require.ErrorContains(t, err, "audit entry 9")
}
