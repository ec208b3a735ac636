package e2e_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// fields reads the fields of a submit and keeps numbers as they are written.
func fields(t testing.TB, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	out := map[string]any{}
	require.NoError(t, dec.Decode(&out), text)
	return out
}

// timeOf reads a time of an answer.
func timeOf(t testing.TB, v any) time.Time {
	t.Helper()
	text, ok := v.(string)
	require.True(t, ok, "%v is no time", v)
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return at
}

// severalTags are the most and longest tags a job may have, of all characters
// they may hold.
func severalTags() (list string, tags []any) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/="
	for i := range 16 {
		tags = append(tags, (letters[i:] + letters)[:64])
	}
	list = strings.ReplaceAll(fmt.Sprintf("%q", tags), " ", ",")
	return list, tags
}

// When and how a job is to be run is said in the same words at both doors: what
// is good is stored and shown, what is bad is refused alike.
func terms(t *testing.T, p platform) {
	for name, submit := range map[string]submitter{"REST": restDoor(p), "NATS": natsDoor(t, p)} {
		t.Run(name, func(t *testing.T) {
			goodTerms(t, p, submit)
			badTerms(t, p, submit)
		})
	}
	for _, query := range []string{"tag=%00", "created_by=a%00b", "job_type=%00", "priority=urgent", "status=done", "cursor=x", "limit=0", "cursor=x&offset=1"} {
		status, problem, _ := client{t, p.http, viewerKey}.call(http.MethodGet, "/api/v1/jobs?"+query, nil)
		require.Equal(t, []any{http.StatusUnprocessableEntity, "validation_error"}, []any{status, problem["code"]}, "%s: %v", query, problem)
	}
}

func goodTerms(t *testing.T, p platform, submit submitter) {
	t.Helper()
	c := client{t, p.http, operatorKey}
	soon := time.Now().Add(90 * time.Minute).Truncate(time.Second)
	elsewhere := soon.In(time.FixedZone("", 2*60*60)).Format(time.RFC3339)
	list, tags := severalTags()
	waits := func(seconds float64) func(map[string]any) {
		return func(job map[string]any) {
			require.Equal(t, "queued", job["status"])
			want := timeOf(t, job["created_at"]).Add(time.Duration(seconds * float64(time.Second)))
			require.WithinDuration(t, want, timeOf(t, job["next_run_at"]), time.Millisecond)
		}
	}
	is := func(field string, want any) func(map[string]any) {
		return func(job map[string]any) { require.Equal(t, want, job[field]) }
	}
	runs := func(job map[string]any) { require.Equal(t, "succeeded", c.finished(job["job_id"].(string))["status"]) }
	for _, good := range []struct {
		body  string
		check func(job map[string]any)
	}{
		{`{}`, is("priority", "normal")},
		{`{}`, is("tags", nil)},
		{`{}`, runs},
		{`{"priority":"high"}`, is("priority", "high")},
		{`{"priority":"normal"}`, is("priority", "normal")},
		{`{"priority":"low"}`, is("priority", "low")},
		{`{"priority":"low"}`, runs},
		{`{"run_at":"` + elsewhere + `"}`, func(job map[string]any) {
			require.Equal(t, "queued", job["status"])
			require.True(t, soon.Equal(timeOf(t, job["next_run_at"])), "%v", job["next_run_at"])
		}},
		{`{"run_at":"` + time.Now().Add(365*24*time.Hour).Format(time.RFC3339) + `"}`, is("status", "queued")},
		{`{"run_at":"2001-02-03T04:05:06.789Z"}`, runs},
		{`{"run_at":"0001-01-01T00:00:00Z"}`, runs},
		{`{"delay_seconds":0}`, runs},
		{`{"delay_seconds":0.2}`, runs},
		{`{"delay_seconds":5400.25}`, waits(5400.25)},
		{`{"delay_seconds":31622400}`, waits(31622400)},
		{`{"timeout_seconds":1,"delay_seconds":60}`, is("timeout_seconds", 1.0)},
		{`{"timeout_seconds":86400}`, is("timeout_seconds", 86400.0)},
		{`{"max_attempts":1}`, is("max_attempts", 1.0)},
		{`{"max_attempts":10}`, is("max_attempts", 10.0)},
		{`{"tags":[]}`, is("tags", nil)},
		{`{"tags":["team:a"]}`, is("tags", []any{"team:a"})},
		{`{"tags":` + list + `}`, is("tags", tags)},
	} {
		id, refusal := submit(t, "integrity_audit", fields(t, good.body))
		require.Empty(t, refusal, good.body)
		good.check(c.get("/api/v1/jobs/" + id))
	}

	mark := "mark:" + uuid.NewString()
	id, refusal := submit(t, "integrity_audit", fields(t, `{"priority":"high","delay_seconds":3600,"timeout_seconds":77,"max_attempts":7,"tags":["`+mark+`","b"],"payload":{"n":1}}`))
	require.Empty(t, refusal)
	job := c.get("/api/v1/jobs/" + id)
	waits(3600)(job)
	require.Equal(t, []any{"high", 77.0, 7.0, []any{mark, "b"}, map[string]any{"n": 1.0}},
		[]any{job["priority"], job["timeout_seconds"], job["max_attempts"], job["tags"], job["payload"]}, "all at once")
	listed := c.get("/api/v1/jobs?tag=" + mark)["jobs"].([]any)
	require.Len(t, listed, 1, "lists find a job by its tag")
	require.Equal(t, id, listed[0].(map[string]any)["job_id"])
}

func badTerms(t *testing.T, p platform, submit submitter) {
	t.Helper()
	c := client{t, p.http, operatorKey}
	far, soon := time.Now().Add(367*24*time.Hour).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)
	mark := "bad:" + uuid.NewString()
	for _, bad := range []string{
		`"priority":"urgent"`, `"priority":"HIGH"`, `"priority":" high"`, `"priority":7`, `"priority":["high"]`, `"priority":true`,
		`"run_at":"tomorrow"`, `"run_at":""`, `"run_at":"2026-05-01"`, `"run_at":"2026-05-01T12:00:00"`, `"run_at":"2026-05-01 12:00:00Z"`,
		`"run_at":"2026-13-01T12:00:00Z"`, `"run_at":"2026-02-30T12:00:00Z"`, `"run_at":"2026-05-01T25:00:00Z"`, `"run_at":1777636800`,
		`"run_at":{}`, `"run_at":"` + far + `"`, `"run_at":"9999-12-31T23:59:59Z"`,
		`"run_at":"` + soon + `","delay_seconds":1`, `"run_at":"` + soon + `","delay_seconds":0`,
		`"delay_seconds":-1`, `"delay_seconds":-0.001`, `"delay_seconds":31622401`, `"delay_seconds":31622400.5`, `"delay_seconds":"5"`,
		`"delay_seconds":1e300`, `"delay_seconds":1e999`, `"delay_seconds":true`,
		`"timeout_seconds":0`, `"timeout_seconds":-1`, `"timeout_seconds":86401`, `"timeout_seconds":2.5`, `"timeout_seconds":2.0`,
		`"timeout_seconds":"7"`, `"timeout_seconds":99999999999999999999`,
		`"max_attempts":0`, `"max_attempts":-1`, `"max_attempts":11`, `"max_attempts":2.5`, `"max_attempts":2.0`, `"max_attempts":"3"`,
		`"tags":"a"`, `"tags":{}`, `"tags":[""]`, `"tags":["a b"]`, `"tags":["ü"]`, `"tags":["a","a"]`, `"tags":[7]`, `"tags":[null]`, `"tags":[["a"]]`,
		`"tags":["` + strings.Repeat("x", 65) + `"]`, `"tags":["0","1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16"]`,
		`"tag":"a"`, `"timeout":5`, `"delay":5`,
	} {
		if !strings.HasPrefix(bad, `"tags"`) {
			bad += `,"tags":["` + mark + `"]`
		}
		_, refusal := submit(t, "integrity_audit", fields(t, "{"+bad+"}"))
		require.Equal(t, "validation_error", refusal, bad)
	}
	require.Empty(t, c.get("/api/v1/jobs?tag=" + mark)["jobs"], "what was refused is not there")
}

// A payload larger than any message of the broker comes in by REST, is run, and
// is shown whole.
func TestLargePayloadIsShownWhole(t *testing.T) {
	t.Parallel()
	p := oneProcess(t, "NEXUS_MAX_PAYLOAD_BYTES=4194304")
	c := client{t, p.http, operatorKey}
	// What is not the same everywhere shows a part that is missing or out of place.
	var text strings.Builder
	for i := 0; text.Len() < 3<<20; i++ {
		fmt.Fprintf(&text, "%d ü ", i)
	}
	id, status := c.submit(map[string]any{"job_type": "integrity_audit", "execution_mode": "sync", "payload": map[string]any{"text": text.String()}})
	require.Equal(t, "succeeded", status)
	job := c.get("/api/v1/jobs/" + id)
	require.EqualValues(t, 1, job["attempt_count"])
	shown := job["payload"].(map[string]any)["text"].(string)
	require.Len(t, shown, text.Len())
	require.Equal(t, sha256.Sum256([]byte(text.String())), sha256.Sum256([]byte(shown)), "the payload is not the one that was sent")
}
