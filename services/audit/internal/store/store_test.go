package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/audit/internal/store"
	"nexus.internal/services/audit/internal/trail"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const manyDetails = 1 << 20

func entry(id string, change func(*trail.Entry)) trail.Entry {
	e := trail.Entry{EventID: id, Action: "job_succeeded", Actor: "ann", Source: "nexus.jobs", RequestID: "r", OccurredAt: noon, Details: json.RawMessage(`{}`)}
	if change != nil {
		change(&e)
	}
	return e
}

// opened is a store that acts as the role of the service, and the database as
// its superuser.
func opened(t *testing.T) (*store.Store, *pg.DB) {
	t.Helper()
	url := testkit.PostgresURL(t)
	return store.New(testkit.OpenPostgres(t, url, migrations.Role("audit"))), testkit.OpenPostgres(t, url, "")
}

func ids(t *testing.T, st *store.Store, q contract.AuditQuery) []string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	entries, err := st.List(t.Context(), q, nil, manyDetails)
	require.NoError(t, err)
	out := []string{}
	for _, e := range entries {
		out = append(out, e.EventID)
	}
	return out
}

func TestRowsMatchTheSchema(t *testing.T) {
	t.Parallel()
	testkit.RequireRowsMatch(t, testkit.Postgres(t), store.Rows())
}

func TestAppendKeepsEverything(t *testing.T) {
	t.Parallel()
	st, db := opened(t)
	require.NoError(t, st.Ping(t.Context()))
	// Neither order nor spacing nor an escaped NUL may change.
	details := `{"b": 1,  "a": "\u0000", "b": 2}`
	before := time.Now()
	require.NoError(t, st.Append(t.Context(), []trail.Entry{
		entry("1", func(e *trail.Entry) { e.Details, e.TraceID = json.RawMessage(details), make([]byte, 16) }),
		entry("2", func(e *trail.Entry) { e.Actor, e.RequestID, e.OccurredAt = "", "", noon.Add(-time.Hour) }),
	}))
	entries, err := st.List(t.Context(), contract.AuditQuery{Limit: 10}, nil, manyDetails)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.NotEqual(t, entries[0].ID, entries[1].ID)
	entries[0].ID, entries[1].ID = 0, 0
	require.Equal(t, []contract.AuditEntry{
		{EventID: "1", Action: "job_succeeded", Actor: "ann", RequestID: "r", OccurredAt: noon, Details: json.RawMessage(details)},
		{EventID: "2", Action: "job_succeeded", OccurredAt: noon.Add(-time.Hour), Details: json.RawMessage(`{}`)},
	}, entries)

	var source string
	var recorded time.Time
	var traced, untraced bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT a.source, a.recorded_at, a.trace_id = decode(repeat('00', 16), 'hex'), b.trace_id IS NULL
		FROM audit.audit_logs a, audit.audit_logs b WHERE a.event_id = '1' AND b.event_id = '2'`).Scan(&source, &recorded, &traced, &untraced))
	require.Equal(t, "nexus.jobs", source)
	require.WithinDuration(t, before, recorded, time.Minute)
	require.True(t, traced)
	require.True(t, untraced)
}

func TestAppendTwiceKeepsOnce(t *testing.T) {
	t.Parallel()
	st, _ := opened(t)
	first := entry("1", nil)
	again := entry("1", func(e *trail.Entry) { e.Actor = "eve" })
	require.NoError(t, st.Append(t.Context(), []trail.Entry{first, again, entry("2", nil)}))
	require.NoError(t, st.Append(t.Context(), []trail.Entry{entry("3", nil), again}))
	require.ElementsMatch(t, []string{"1", "2", "3"}, ids(t, st, contract.AuditQuery{}))
	require.Empty(t, ids(t, st, contract.AuditQuery{Actor: "eve"}), "what is in the trail does not change")
}

func TestAppendRefusals(t *testing.T) {
	t.Parallel()
	st, db := opened(t)
	for name, bad := range map[string]trail.Entry{
		"a NUL":        entry("a\x00", nil),
		"broken UTF-8": entry("\xff", nil),
		"no JSON":      entry("1", func(e *trail.Entry) { e.Details = json.RawMessage("{") }),
		"too deep JSON": entry("1", func(e *trail.Entry) {
			e.Details = json.RawMessage(strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000))
		}),
		"a short trace id": entry("1", func(e *trail.Entry) { e.TraceID = []byte{1} }),
		"a huge id":        entry(incompressible(1<<14), nil),
	} {
		require.ErrorIs(t, st.Append(t.Context(), []trail.Entry{entry("good", nil), bad}), trail.ErrRefused, name)
	}
	require.Empty(t, ids(t, st, contract.AuditQuery{}), "all or none")

	_, err := db.Pool.Exec(t.Context(), "ALTER TABLE audit.audit_logs RENAME TO away")
	require.NoError(t, err)
	err = st.Append(t.Context(), []trail.Entry{entry("good", nil)})
	require.Error(t, err)
	require.NotErrorIs(t, err, trail.ErrRefused, "what is wrong with the database is not the entry's fault")
	_, err = st.List(t.Context(), contract.AuditQuery{Limit: 1}, nil, manyDetails)
	require.ErrorContains(t, err, "list audit entries")
}

func incompressible(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprint(&b, i*7919%10007, ".")
	}
	return b.String()
}

func TestList(t *testing.T) {
	t.Parallel()
	st, _ := opened(t)
	var entries []trail.Entry
	for i := range 10 {
		entries = append(entries, entry(fmt.Sprint(i), func(e *trail.Entry) {
			e.OccurredAt = noon.Add(time.Duration(i/2) * time.Minute)
			e.Actor = []string{"ann", "bob"}[i%2]
			e.Action = []string{"job_queued", "job_running", "job_succeeded"}[i%3]
		}))
	}
	require.NoError(t, st.Append(t.Context(), entries))
	at := func(minutes int) *time.Time {
		when := noon.Add(time.Duration(minutes) * time.Minute)
		return &when
	}
	for name, c := range map[string]struct {
		q    contract.AuditQuery
		want []string
	}{
		"newest first, later added first": {contract.AuditQuery{}, []string{"9", "8", "7", "6", "5", "4", "3", "2", "1", "0"}},
		"a page":                          {contract.AuditQuery{Limit: 2, Offset: 3}, []string{"6", "5"}},
		"beyond the end":                  {contract.AuditQuery{Offset: 10}, []string{}},
		"by actor":                        {contract.AuditQuery{Actor: "ann"}, []string{"8", "6", "4", "2", "0"}},
		"by action":                       {contract.AuditQuery{Action: "job_queued"}, []string{"9", "6", "3", "0"}},
		"by both":                         {contract.AuditQuery{Action: "job_queued", Actor: "bob"}, []string{"9", "3"}},
		"after, inclusive":                {contract.AuditQuery{After: at(4)}, []string{"9", "8"}},
		"before, exclusive":               {contract.AuditQuery{Before: at(1)}, []string{"1", "0"}},
		"between":                         {contract.AuditQuery{After: at(1), Before: at(2)}, []string{"3", "2"}},
		"nobody":                          {contract.AuditQuery{Actor: "' OR true --"}, []string{}},
	} {
		require.Equal(t, c.want, ids(t, st, c.q), name)
	}
}

func TestListOmitsHugeDetails(t *testing.T) {
	t.Parallel()
	st, _ := opened(t)
	huge := json.RawMessage(`"` + strings.Repeat("x", 100) + `"`)
	require.NoError(t, st.Append(t.Context(), []trail.Entry{entry("1", func(e *trail.Entry) { e.Details = huge })}))
	for limit, want := range map[int]string{102: string(huge), 101: `{"omitted_bytes" : 102}`} {
		entries, err := st.List(t.Context(), contract.AuditQuery{Limit: 1}, nil, limit)
		require.NoError(t, err)
		require.JSONEq(t, want, string(entries[0].Details))
	}
}

func letter(change func(*trail.DeadLetter)) trail.DeadLetter {
	l := trail.DeadLetter{
		Stream: "NEXUS_DEAD", Sequence: 7, ReceivedAt: noon, Subject: "nexus.dead.jobs.undecodable", Origin: "nexus.cmd.jobs.submit",
		Reason: "why", Headers: json.RawMessage(`{"A":["b"]}`), Body: []byte{0, 0xff}, BodySize: 2,
	}
	if change != nil {
		change(&l)
	}
	return l
}

func TestKeepDead(t *testing.T) {
	t.Parallel()
	st, db := opened(t)
	require.NoError(t, st.KeepDead(t.Context(), letter(nil)))
	require.NoError(t, st.KeepDead(t.Context(), letter(func(l *trail.DeadLetter) { l.Reason = "again" })))
	require.NoError(t, st.KeepDead(t.Context(), letter(func(l *trail.DeadLetter) { l.ReceivedAt = noon.Add(time.Second) })), "the stream was made anew")
	require.NoError(t, st.KeepDead(t.Context(), letter(func(l *trail.DeadLetter) { l.Sequence++ })))

	var n int
	var body []byte
	var reason, header string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) OVER (), body, reason, headers->'A'->>0 FROM audit.dead_letters ORDER BY id LIMIT 1`).
		Scan(&n, &body, &reason, &header))
	require.Equal(t, 3, n)
	require.Equal(t, []byte{0, 0xff}, body)
	require.Equal(t, "why", reason)
	require.Equal(t, "b", header)

	for name, bad := range map[string]trail.DeadLetter{
		"a NUL":          letter(func(l *trail.DeadLetter) { l.Sequence, l.Reason = 9, "\x00" }),
		"a NUL escaped":  letter(func(l *trail.DeadLetter) { l.Sequence, l.Headers = 9, json.RawMessage(`{"A":["\u0000"]}`) }),
		"too small size": letter(func(l *trail.DeadLetter) { l.Sequence, l.BodySize = 9, 1 }),
	} {
		require.ErrorIs(t, st.KeepDead(t.Context(), bad), trail.ErrRefused, name)
	}
}

// Neither the role of the service nor a superuser may change what is kept.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	st, super := opened(t)
	require.NoError(t, st.Append(t.Context(), []trail.Entry{entry("1", nil)}))
	require.NoError(t, st.KeepDead(t.Context(), letter(nil)))
	changes := map[string][]string{
		"audit.audit_logs":   {"UPDATE audit.audit_logs SET actor = 'eve'", "UPDATE audit.audit_logs SET actor = 'eve' WHERE false", "DELETE FROM audit.audit_logs", "TRUNCATE audit.audit_logs"},
		"audit.dead_letters": {"UPDATE audit.dead_letters SET reason = ''", "DELETE FROM audit.dead_letters", "TRUNCATE audit.dead_letters"},
	}
	for table, statements := range changes {
		for _, stmt := range statements {
			_, err := super.Pool.Exec(t.Context(), stmt)
			require.ErrorContains(t, err, table+" is append-only", stmt)
			_, err = super.Pool.Exec(t.Context(), "SET session_replication_role = replica; "+stmt)
			require.ErrorContains(t, err, table+" is append-only", "%s, as replication", stmt)
			_, err = super.Pool.Exec(t.Context(), "SET ROLE "+migrations.Role("audit")+"; "+stmt)
			require.ErrorContains(t, err, "permission denied", "%s, as the service", stmt)
		}
	}
	require.Equal(t, []string{"1"}, ids(t, st, contract.AuditQuery{Actor: "ann"}))
}
