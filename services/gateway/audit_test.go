package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
)

func TestAuditQueries(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	admin := g.role(identity.Admin)
	admin.send(http.MethodGet, "/api/v1/audit/logs?action=a&actor=b&request_id=c&event_id=d/1&after=2026-01-01T00:00:00Z&before=2026-02-01T00:00:00Z&limit=7&cursor=x", "").is(http.StatusOK, nil)
	after, before := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, contract.AuditQuery{Action: "a", Actor: "b", RequestID: "c", EventID: "d/1", After: &after, Before: &before, Limit: 7, Cursor: "x"},
		lastRequest[contract.AuditQuery](w, contract.RPCAuditLogs))
	for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "offset=-1", "after=yesterday", "action=" + strings.Repeat("x", 129), "event_id=" + strings.Repeat("x", 257)} {
		admin.send(http.MethodGet, "/api/v1/audit/logs?"+bad, "").fails(http.StatusUnprocessableEntity, "validation_error")
	}
}

// An export has every entry and says when it is complete; one that breaks off
// says so, too.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	admin := g.role(identity.Admin)
	page := func(id int64, next string) contract.AuditReply {
		return contract.AuditReply{Entries: []contract.AuditEntry{{ID: id, Action: "a", Details: json.RawMessage(`{}`)}}, NextCursor: next}
	}
	w.answer(contract.RPCAuditLogs, func(req json.RawMessage) (any, error) {
		var q contract.AuditQuery
		require.NoError(t, json.Unmarshal(req, &q))
		require.True(t, q.OldestFirst)
		switch {
		case q.Actor == "broken" && q.Cursor != "":
			return nil, fault.Unavailablef("The trail cannot be read now.")
		case q.Actor == "refused":
			return nil, fault.Unprocessablef("no")
		case q.Cursor == "":
			return page(1, "two"), nil
		default:
			return page(2, ""), nil
		}
	})
	lines := func(query string) []string {
		r := admin.send(http.MethodGet, "/api/v1/audit/logs/export"+query, "")
		require.Equal(t, http.StatusOK, r.status)
		require.Equal(t, "application/x-ndjson", r.header.Get("Content-Type"))
		return strings.Split(strings.TrimSpace(string(r.body)), "\n")
	}
	whole := lines("")
	require.Len(t, whole, 3)
	require.Contains(t, whole[0], `"id":1,`)
	require.Contains(t, whole[1], `"id":2,`)
	require.JSONEq(t, `{"complete":true,"entries":2}`, whole[2])
	cut := lines("?actor=broken")
	require.Len(t, cut, 2)
	require.JSONEq(t, `{"complete":false,"entries":1,"error":"The trail cannot be read now."}`, cut[1])
	admin.send(http.MethodGet, "/api/v1/audit/logs/export?actor=refused", "").fails(http.StatusUnprocessableEntity, "validation_error")
}
