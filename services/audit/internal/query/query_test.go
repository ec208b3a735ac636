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
)

// trailOf is a trail of n entries with details of a size.
type trailOf struct {
	n, size int
	err     error
	asked   contract.AuditQuery
}

func (s *trailOf) List(_ context.Context, q contract.AuditQuery, maxDetails int) ([]contract.AuditEntry, error) {
	s.asked = q
	size := min(s.size, maxDetails)
	// Angle brackets take six times the room in the reply.
	details, err := json.Marshal(strings.Repeat("<", size/6))
	if err != nil {
		return nil, err
	}
	return make([]contract.AuditEntry, min(s.n, q.Limit)), errors.Join(s.err, fill(s, details))
}

func fill(*trailOf, []byte) error { return nil }

func maxPayload() int64 { return 1 << 20 }

func TestListRefusesBadQueries(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]contract.AuditQuery{
		"a negative limit":    {Limit: -1},
		"too high a limit":    {Limit: 1001},
		"a negative offset":   {Offset: -1},
		"a NUL in the action": {Action: "a\x00"},
		"a NUL in the actor":  {Actor: "\x00"},
	} {
		_, err := query.New(&trailOf{}, maxPayload).List(t.Context(), q)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err), name)
	}
}
