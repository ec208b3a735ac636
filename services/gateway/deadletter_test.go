package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
)

const lettersURL = "/api/v1/dead-letters"

// letterRoute is a route about one dead letter, with the question it asks.
type letterRoute struct{ method, what, subject string }

func letterRoutes() []letterRoute {
	return []letterRoute{
		{http.MethodGet, "", contract.RPCDeadLetter},
		{http.MethodPost, "/replay", contract.RPCDeadLetterReplay},
		{http.MethodPost, "/replay?force=true", contract.RPCDeadLetterReplay},
		{http.MethodPost, "/discard", contract.RPCDeadLetterDiscard},
	}
}

func letterSubjects() []string {
	return []string{contract.RPCDeadLetters, contract.RPCDeadLetter, contract.RPCDeadLetterReplay, contract.RPCDeadLetterDiscard}
}

func TestDeadLettersThatCannotBeAreNotAskedFor(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Admin)
	for _, r := range letterRoutes() {
		for _, id := range []string{"0", "-1", "1.5", "7x", "0x7", "1e3", "9223372036854775808", "%00", "%20", uuid.NewString(), strings.Repeat("9", 5000)} {
			p := c.send(r.method, lettersURL+"/"+id+r.what, "").fails(http.StatusNotFound, "not_found")
			require.Equal(t, "There is no such dead letter.", p.Detail, "%s %.80q", r.what, id)
		}
	}
	c.send(http.MethodPost, lettersURL+"/7/replay?force=perhaps", "").fails(http.StatusUnprocessableEntity, "validation_error")
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=1.5", "limit=99999999999999999999", "all=perhaps",
		"after=yesterday", "after=2026-05-01", "before=2026-05-01T12:00:00", "before=1777636800", "before=2026-13-01T00:00:00Z",
		"cursor=" + strings.Repeat("z", 65), "service=" + strings.Repeat("x", 65), "reason=" + strings.Repeat("x", 1025), "subject=" + strings.Repeat("x", 1025),
	} {
		p := c.send(http.MethodGet, lettersURL+"?"+query, "").fails(http.StatusUnprocessableEntity, "validation_error")
		require.Equal(t, "query."+strings.Split(query, "=")[0], p.Errors[0].Location, "%.80s", query)
	}
	for _, subject := range letterSubjects() {
		require.Empty(t, w.requests(subject), subject)
	}
}

func TestDeadLettersAreForAdmins(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	for _, role := range identity.Roles() {
		if role == identity.Admin {
			continue
		}
		c := g.role(role)
		c.send(http.MethodGet, lettersURL, "").fails(http.StatusForbidden, "forbidden")
		for _, r := range letterRoutes() {
			c.send(r.method, lettersURL+"/7"+r.what, "").fails(http.StatusForbidden, "forbidden")
		}
	}
	for _, r := range letterRoutes() {
		g.nobody().send(r.method, lettersURL+"/7"+r.what, "").fails(http.StatusUnauthorized, "unauthorized")
	}
	for _, subject := range letterSubjects() {
		require.Empty(t, w.requests(subject), "%s: nobody may ask but an admin", subject)
	}
}

// What the audit service says of a dead letter reaches the client as it is.
func TestFaultsOfDeadLetters(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Admin)
	for _, tc := range []struct {
		why    error
		status int
		code   string
	}{
		{fault.NotFoundf("There is no dead letter 7."), http.StatusNotFound, "not_found"},
		{fault.Conflictf("Dead letter 7 was replayed already; force replays it again."), http.StatusConflict, "conflict"},
		{fault.Conflictf("Dead letter 7 was discarded; force replays it all the same."), http.StatusConflict, "conflict"},
		{fault.Unprocessablef("cursor is not one that a page of this list has given"), http.StatusUnprocessableEntity, "validation_error"},
	} {
		for _, subject := range letterSubjects() {
			w.answer(subject, refuses(tc.why))
		}
		require.Equal(t, tc.why.Error(), c.send(http.MethodGet, lettersURL+"?cursor=zz", "").fails(tc.status, tc.code).Detail)
		for _, r := range letterRoutes() {
			require.Equal(t, tc.why.Error(), c.send(r.method, lettersURL+"/7"+r.what, "").fails(tc.status, tc.code).Detail, r.what)
		}
	}
	w.stop["audit"]()
	c.send(http.MethodGet, lettersURL, "").fails(http.StatusServiceUnavailable, "unavailable")
	for _, r := range letterRoutes() {
		c.send(r.method, lettersURL+"/7"+r.what, "").fails(http.StatusServiceUnavailable, "unavailable")
	}
}

func TestQuestionsAboutDeadLetters(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Admin)
	get := func(path string) { c.send(http.MethodGet, path, "").is(http.StatusOK, nil) }
	get(lettersURL)
	require.Equal(t, contract.DeadLetterQuery{Limit: 100}, lastRequest[contract.DeadLetterQuery](w, contract.RPCDeadLetters))
	const reason = "validation_error: The message is not a job & more"
	get(lettersURL + "?service=gateway&reason=" + url.QueryEscape(reason) + "&subject=nexus.submit.ann.analyze&all=true&limit=7&cursor=zz" +
		"&after=2026-05-01T12:00:00%2B02:00&before=2026-06-01T00:00:00.5Z")
	q := lastRequest[contract.DeadLetterQuery](w, contract.RPCDeadLetters)
	require.Equal(t, "2026-05-01T10:00:00Z 2026-06-01T00:00:00.5Z", q.After.UTC().Format(time.RFC3339Nano)+" "+q.Before.UTC().Format(time.RFC3339Nano))
	q.After, q.Before = nil, nil
	require.Equal(t, contract.DeadLetterQuery{Service: "gateway", Reason: reason, Origin: "nexus.submit.ann.analyze", All: true, Limit: 7, Cursor: "zz"}, q)
	get(lettersURL + "/9223372036854775807")
	require.Equal(t, contract.DeadLetterRequest{ID: 1<<63 - 1}, lastRequest[contract.DeadLetterRequest](w, contract.RPCDeadLetter))

	for what, want := range map[string]struct {
		subject string
		force   bool
	}{
		"/replay": {contract.RPCDeadLetterReplay, false}, "/replay?force=false": {contract.RPCDeadLetterReplay, false},
		"/replay?force=true": {contract.RPCDeadLetterReplay, true}, "/discard": {contract.RPCDeadLetterDiscard, false},
	} {
		c.send(http.MethodPost, lettersURL+"/7"+what, "", requestID, "mark-1").is(http.StatusOK, nil)
		m := lastRequest[contract.MarkDeadLetterRequest](w, want.subject)
		require.Equal(t, contract.MarkDeadLetterRequest{
			Asker: contract.Asker{Actor: ownerOf(identity.Admin), RequestID: "mark-1", Address: "127.0.0.1"}, ID: 7, Force: want.force,
		}, m, what)
	}
}
