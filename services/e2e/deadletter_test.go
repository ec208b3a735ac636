package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

const lettersURL = "/api/v1/dead-letters"

// letters waits until at least n dead letters of the door hold a body, and
// returns them, the newest first.
func (c client) letters(subject, body string, n int) (out []map[string]any) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		out = nil
		for _, l := range c.get(lettersURL + "?all=true&service=gateway&subject=" + url.QueryEscape(subject))["dead_letters"].([]any) {
			letter := c.get(fmt.Sprintf("%s/%.0f", lettersURL, l.(map[string]any)["id"]))
			if letter["body"] == body {
				out = append(out, letter)
			}
		}
		return len(out) >= n
	}, patience, 50*time.Millisecond, "the dead letters did not come")
	require.Len(c.t, out, n)
	return out
}

func letterURL(letter map[string]any, what string) string {
	return fmt.Sprintf("%s/%.0f%s", lettersURL, letter["id"], what)
}

// shows reports whether a list holds a letter.
func (c client) shows(query string, letter map[string]any) bool {
	c.t.Helper()
	for _, l := range c.get(lettersURL + query)["dead_letters"].([]any) {
		if l.(map[string]any)["id"] == letter["id"] {
			return true
		}
	}
	return false
}

func (c client) does(path string, want int) map[string]any {
	c.t.Helper()
	status, answer, _ := c.call(http.MethodPost, path, nil)
	require.Equal(c.t, want, status, "%s: %v", path, answer)
	return answer
}

// What nobody can read at the NATS door is found over REST with what is known of
// it, can be sent again, and thrown away.
func deadLetters(t *testing.T, p platform) {
	const subject = "nexus.submit.dev-operator.integrity_audit"
	admin := client{t, p.http, adminKey}
	_, js := natsClient(t, p, "dev-operator", operatorKey)
	body := "garbage " + uuid.NewString()
	before := time.Now().Add(-time.Second)
	msg := nats.NewMsg(subject)
	msg.Data = []byte(body)
	msg.Header.Set("Nexus-Request-Id", "letter-1")
	msg.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	_, err := js.PublishMsg(t.Context(), msg)
	require.NoError(t, err)

	letter := admin.letters(subject, body, 1)[0]
	require.Equal(t, "gateway", letter["service"])
	require.Equal(t, subject, letter["subject"])
	require.Equal(t, "validation_error: body: not valid JSON", letter["reason"])
	require.Equal(t, []any{"text", float64(len(body)), float64(len(body)), 0.0, false},
		[]any{letter["encoding"], letter["body_size"], letter["kept_size"], letter["replays"], letter["discarded"]})
	headers := letter["headers"].(map[string]any)
	require.Equal(t, []any{subject}, headers["Nexus-Origin"])
	require.Equal(t, []any{letter["reason"]}, headers["Nexus-Reason"])
	require.Empty(t, letter["marks"])
	for query, want := range map[string]bool{
		"?reason=refused": true, "?reason=" + url.QueryEscape(letter["reason"].(string)): true, "?reason=undecodable": false,
		"?service=jobs": false, "?subject=nexus.submit.dev-operator.analyze": false,
		"?after=" + url.QueryEscape(before.Format(time.RFC3339Nano)): true, "?before=" + url.QueryEscape(before.Format(time.RFC3339Nano)): false,
		"?limit=1000": true,
	} {
		require.Equal(t, want, admin.shows(query, letter), query)
	}

	replayed := admin.does(letterURL(letter, "/replay"), http.StatusOK)
	require.EqualValues(t, 1, replayed["replays"])
	mark := replayed["marks"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"replayed", "dev-admin"}, []any{mark["what"], mark["actor"]})
	second := admin.letters(subject, body, 2)[0]
	require.NotEqual(t, letter["id"], second["id"], "it went back to the door, which refused it again")
	require.Equal(t, letter["reason"], second["reason"])
	again := second["headers"].(map[string]any)
	require.Equal(t, []any{"letter-1"}, again["Nexus-Request-Id"])
	require.Contains(t, again["Traceparent"].([]any)[0], "0af7651916cd43dd8448eb211c80319c")

	problem := admin.does(letterURL(letter, "/replay"), http.StatusConflict)
	require.Equal(t, "conflict", problem["code"])
	require.Contains(t, problem["detail"], "was replayed already")
	require.EqualValues(t, 2, admin.does(letterURL(letter, "/replay?force=true"), http.StatusOK)["replays"])
	admin.letters(subject, body, 3)

	require.True(t, admin.does(letterURL(second, "/discard"), http.StatusOK)["discarded"].(bool))
	require.False(t, admin.shows("?limit=1000", second), "what was thrown away is hidden")
	require.True(t, admin.shows("?limit=1000&all=true", second))
	require.True(t, admin.shows("?limit=1000", letter), "and nothing else is")
	require.Contains(t, admin.does(letterURL(second, "/discard"), http.StatusConflict)["detail"], "was discarded already")
	require.Contains(t, admin.does(letterURL(second, "/replay"), http.StatusConflict)["detail"], "was discarded")
	require.EqualValues(t, 1, admin.does(letterURL(second, "/replay?force=true"), http.StatusOK)["replays"])
	admin.letters(subject, body, 4)

	badLetterRequests(t, p, letter)
	for action, times := range map[string]int{"dead_letter.replayed": 3, "dead_letter.discarded": 1} {
		require.Eventually(t, func() bool {
			return len(admin.get("/api/v1/audit/logs?actor=dev-admin&action=" + action)["logs"].([]any)) == times
		}, patience, 50*time.Millisecond, "the trail of %s", action)
	}
}

func badLetterRequests(t *testing.T, p platform, letter map[string]any) {
	t.Helper()
	admin := client{t, p.http, adminKey}
	for _, tc := range []struct {
		path   string
		status int
		code   string
	}{
		{"/999999999", http.StatusNotFound, "not_found"},
		{"/9223372036854775807", http.StatusNotFound, "not_found"},
		{"/0", http.StatusNotFound, "not_found"},
		{"/-1", http.StatusNotFound, "not_found"},
		{"/1.5", http.StatusNotFound, "not_found"},
		{"/9223372036854775808", http.StatusNotFound, "not_found"},
		{"/" + uuid.NewString(), http.StatusNotFound, "not_found"},
	} {
		for what, method := range map[string]string{"": http.MethodGet, "/replay": http.MethodPost, "/discard": http.MethodPost} {
			status, answer, _ := admin.call(method, lettersURL+tc.path+what, nil)
			require.Equal(t, tc.status, status, "%s %s%s: %v", method, tc.path, what, answer)
			require.Equal(t, tc.code, answer["code"], "%s %s%s", method, tc.path, what)
		}
	}
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=ten", "cursor=!", "cursor=-1", "cursor=0", "cursor=zzzzzzzzzzzzzzzzzzzz", "after=yesterday", "before=2026-05-01",
		"service=" + uuid.NewString() + uuid.NewString(), "reason=%00", "all=perhaps",
	} {
		status, answer, _ := admin.call(http.MethodGet, lettersURL+"?"+query, nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %v", query, answer)
		require.Equal(t, "validation_error", answer["code"], query)
	}
	page := admin.get(lettersURL + "?limit=1&all=true")
	next := admin.get(lettersURL + "?limit=1&all=true&cursor=" + page["next_cursor"].(string))
	require.Less(t, next["dead_letters"].([]any)[0].(map[string]any)["id"], page["dead_letters"].([]any)[0].(map[string]any)["id"])
	for key, want := range map[string]int{"": http.StatusUnauthorized, viewerKey: http.StatusForbidden, operatorKey: http.StatusForbidden, researcherKey: http.StatusForbidden} {
		c := client{t, p.http, key}
		status, _, _ := c.call(http.MethodGet, lettersURL, nil)
		require.Equal(t, want, status)
		status, _, _ = c.call(http.MethodGet, letterURL(letter, ""), nil)
		require.Equal(t, want, status)
		c.does(letterURL(letter, "/replay?force=true"), want)
		c.does(letterURL(letter, "/discard"), want)
	}
	require.False(t, admin.get(letterURL(letter, ""))["discarded"].(bool), "nobody else can throw it away")
}

// What was refused because something was missing becomes a job once that is
// there and the letter is sent again.
func TestADeadLetterBecomesAJob(t *testing.T) {
	t.Parallel()
	p := oneProcess(t)
	const subject, body = "nexus.submit.dev-operator.brew_tea", `{"payload":{"leaf":"green"},"tags":["late"]}`
	admin := client{t, p.http, adminKey}
	_, js := natsClient(t, p, "dev-operator", operatorKey)
	_, err := js.Publish(t.Context(), subject, []byte(body))
	require.NoError(t, err)
	letter := admin.letters(subject, body, 1)[0]
	require.Equal(t, "unknown_job_type: Unknown job_type 'brew_tea'", letter["reason"])

	status, answer, _ := admin.call(http.MethodPost, "/api/v1/job-types", map[string]any{"name": "brew_tea", "queue": "kitchen"})
	require.Equal(t, http.StatusOK, status, "%v", answer)
	require.Eventually(t, func() bool {
		status, _, _ := client{t, p.http, operatorKey}.call(http.MethodPost, "/api/v1/jobs/submit", map[string]any{"job_type": "brew_tea"})
		return status == http.StatusOK
	}, patience, 50*time.Millisecond, "the gateway does not know the new type")
	admin.does(letterURL(letter, "/replay"), http.StatusOK)
	require.Eventually(t, func() bool {
		jobs := client{t, p.http, viewerKey}.get("/api/v1/jobs?job_type=brew_tea&tag=late")["jobs"].([]any)
		return len(jobs) == 1
	}, patience, 50*time.Millisecond, "the letter did not become a job")
	job := client{t, p.http, viewerKey}.get("/api/v1/jobs?job_type=brew_tea&tag=late")["jobs"].([]any)[0].(map[string]any)
	require.Equal(t, "dev-operator", client{t, p.http, viewerKey}.get("/api/v1/jobs/" + job["job_id"].(string))["created_by"], "whoever sent it again")
}
