package store_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/pg"
	"nexus.internal/services/audit/internal/store"
	"nexus.internal/services/audit/internal/trail"
)

// chained is a trail of five segments with three entries each.
func chained(t *testing.T) (*store.Store, *pg.DB) {
	t.Helper()
	st, db := opened(t)
	for segment := range 5 {
		var entries []trail.Entry
		for i := range 3 {
			entries = append(entries, entry(fmt.Sprintf("%d.%d", segment, i), func(e *trail.Entry) {
				e.TraceID = []byte("0123456789abcdef")
				e.OccurredAt = noon.Add(time.Duration(i) * time.Nanosecond)
				e.Details = json.RawMessage(`{"b": 1,  "a":"é"}`)
			}))
		}
		require.NoError(t, st.Append(t.Context(), entries))
	}
	return st, db
}

func tamper(t *testing.T, db *pg.DB, sql string) {
	t.Helper()
	for _, stmt := range []string{
		`ALTER TABLE audit.audit_logs DISABLE TRIGGER USER`, `ALTER TABLE audit.segments DISABLE TRIGGER USER`, sql,
		`ALTER TABLE audit.audit_logs ENABLE ALWAYS TRIGGER audit_logs_append_only`, `ALTER TABLE audit.segments ENABLE ALWAYS TRIGGER segments_append_only`,
	} {
		_, err := db.Pool.Exec(t.Context(), stmt)
		require.NoError(t, err, stmt)
	}
}

func TestVerifyFindsNothingWhereNothingIs(t *testing.T) {
	t.Parallel()
	st, _ := opened(t)
	report, err := st.Verify(t.Context(), time.Time{}, time.Time{})
	require.NoError(t, err)
	require.Equal(t, trail.Report{}, report)
	st, _ = chained(t)
	// Events that come again add nothing, whether alone or with new ones.
	require.NoError(t, st.Append(t.Context(), []trail.Entry{entry("0.1", nil)}))
	require.NoError(t, st.Append(t.Context(), []trail.Entry{entry("0.2", nil), entry("new", nil), entry("4.0", nil), entry("new", nil)}))
	report, err = st.Verify(t.Context(), time.Time{}, time.Time{})
	require.NoError(t, err)
	require.EqualValues(t, 16, report.Entries)
	require.EqualValues(t, 6, report.Segments)
	require.EqualValues(t, 6, report.Head)
	part, err := st.Verify(t.Context(), time.Time{}, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, report.HeadHash, part.HeadHash)
	none, err := st.Verify(t.Context(), time.Now().Add(time.Hour), time.Time{})
	require.NoError(t, err)
	require.Zero(t, none.Segments)
}

// Whoever changes the trail, even with every right there is, is found out.
func TestGuaranteeATamperedTrailIsFound(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql  string
		kind trail.Breach
		at   int64
	}{
		"action":            {`UPDATE audit.audit_logs SET action = 'x' WHERE event_id = '2.1'`, trail.Changed, 3},
		"actor":             {`UPDATE audit.audit_logs SET actor = 'x' WHERE event_id = '2.1'`, trail.Changed, 3},
		"source":            {`UPDATE audit.audit_logs SET source = 'x' WHERE event_id = '2.1'`, trail.Changed, 3},
		"request":           {`UPDATE audit.audit_logs SET request_id = 'x' WHERE event_id = '2.1'`, trail.Changed, 3},
		"trace":             {`UPDATE audit.audit_logs SET trace_id = NULL WHERE event_id = '2.1'`, trail.Changed, 3},
		"time":              {`UPDATE audit.audit_logs SET occurred_at = occurred_at + interval '1 microsecond' WHERE event_id = '2.1'`, trail.Changed, 3},
		"details":           {`UPDATE audit.audit_logs SET details = '{"b":1,"a":"é"}' WHERE event_id = '2.1'`, trail.Changed, 3},
		"event id":          {`UPDATE audit.audit_logs SET event_id = '9.9' WHERE event_id = '2.1'`, trail.Changed, 3},
		"swapped":           {`UPDATE audit.audit_logs SET position = 3 - position WHERE segment = 3 AND position < 3`, trail.Changed, 3},
		"moved":             {`UPDATE audit.audit_logs SET segment = 4, position = 9 WHERE event_id = '2.1'`, trail.Removed, 3},
		"first removed":     {`DELETE FROM audit.audit_logs WHERE event_id = '0.0'`, trail.Removed, 1},
		"middle removed":    {`DELETE FROM audit.audit_logs WHERE event_id = '2.2'`, trail.Removed, 3},
		"last removed":      {`DELETE FROM audit.audit_logs WHERE event_id = '4.2'`, trail.Removed, 5},
		"segment emptied":   {`DELETE FROM audit.audit_logs WHERE segment = 2`, trail.Removed, 2},
		"segment removed":   {`WITH d AS (DELETE FROM audit.segments WHERE number = 2) DELETE FROM audit.audit_logs WHERE segment = 2`, trail.Removed, 3},
		"segment unlisted":  {`DELETE FROM audit.segments WHERE number = 2`, trail.Removed, 3},
		"inserted":          {`INSERT INTO audit.audit_logs (event_id, action, actor, source, request_id, occurred_at, details, segment, position) VALUES ('f', 'a', 'b', 'c', '', now(), '{}', 3, 8)`, trail.Inserted, 3},
		"inserted outside":  {`INSERT INTO audit.audit_logs (event_id, action, actor, source, request_id, occurred_at, details) VALUES ('f', 'a', 'b', 'c', '', now(), '{}')`, trail.Inserted, 0},
		"beyond the end":    {`INSERT INTO audit.audit_logs (event_id, action, actor, source, request_id, occurred_at, details, segment, position) VALUES ('f', 'a', 'b', 'c', '', now(), '{}', 99, 1)`, trail.Inserted, 0},
		"hash made to fit":  {`UPDATE audit.segments SET hash = sha256('x') WHERE number = 3`, trail.Changed, 3},
		"time of recording": {`UPDATE audit.segments SET recorded_at = recorded_at - interval '1 day' WHERE number = 3`, trail.Changed, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, db := chained(t)
			tamper(t, db, tc.sql)
			_, err := st.Verify(t.Context(), time.Time{}, time.Time{})
			var broken *trail.BrokenError
			require.ErrorAs(t, err, &broken)
			require.Equal(t, tc.kind, broken.Kind, broken)
			require.Equal(t, tc.at, broken.Segment, broken)
		})
	}
}

// Several writers, and several replicas, make one chain.
func TestOneChainOfManyWriters(t *testing.T) {
	t.Parallel()
	st, _ := opened(t)
	const writers, batches = 4, 20
	var wg sync.WaitGroup
	errs := make(chan error, writers*batches)
	for w := range writers {
		wg.Go(func() {
			for b := range batches {
				errs <- st.Append(t.Context(), []trail.Entry{entry(fmt.Sprintf("%d.%d", w, b), nil), entry("shared", nil)})
			}
		})
	}
	wg.Wait()
	for range writers * batches {
		require.NoError(t, <-errs)
	}
	report, err := st.Verify(t.Context(), time.Time{}, time.Time{})
	require.NoError(t, err)
	require.EqualValues(t, writers*batches+1, report.Entries)
}
