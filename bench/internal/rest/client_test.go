package rest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/rest"
	"nexus.internal/libs/contract"
)

// serve answers every request with a status and a body, and keeps the request.
func serve(t *testing.T, status int, body string) (*rest.Client, *http.Request, *string) {
	t.Helper()
	var asked http.Request
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, _ := io.ReadAll(r.Body)
		asked, sent = *r, string(read)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	client := rest.New(strings.TrimPrefix(server.URL, "http://"), "the-key", 2)
	t.Cleanup(client.Close)
	return client, &asked, &sent
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	client, asked, sent := serve(t, http.StatusOK, `{"job_id":"1","status":"queued"}`)
	out, err := client.Submit(rest.SubmitBody([]byte(`{"a":1}`)))
	require.NoError(t, err)
	require.Equal(t, rest.Submitted{JobID: "1", Status: contract.StatusQueued}, out)
	require.True(t, out.Confirmed())
	require.Equal(t, "POST /api/v1/jobs/submit", asked.Method+" "+asked.URL.Path)
	require.Equal(t, "the-key", asked.Header.Get("X-Nexus-API-Key"))
	require.Equal(t, "application/json", asked.Header.Get("Content-Type"))

	var body struct {
		JobType       string          `json:"job_type"`
		ExecutionMode string          `json:"execution_mode"`
		Payload       json.RawMessage `json:"payload"`
	}
	require.NoError(t, json.Unmarshal([]byte(*sent), &body))
	require.Equal(t, contract.JobNoop, body.JobType)
	require.Equal(t, string(contract.ModeAsync), body.ExecutionMode)
	require.JSONEq(t, `{"a":1}`, string(body.Payload))
}

func TestAnAcceptedJobIsNotConfirmed(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, http.StatusAccepted, `{"job_id":"1","status":"accepted"}`)
	out, err := client.Submit(nil)
	require.NoError(t, err)
	require.False(t, out.Confirmed())
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		client, _, _ := serve(t, status, `{"detail":"later"}`)
		_, err := client.Submit(nil)
		require.ErrorIs(t, err, rest.ErrRefused)
		require.ErrorContains(t, err, "later")
	}
}

func TestOtherAnswersAreErrors(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, http.StatusForbidden, `{"detail":"too low a role"}`)
	_, err := client.Job("1")
	require.ErrorContains(t, err, "status 403")
	require.NotErrorIs(t, err, rest.ErrRefused)

	client, _, _ = serve(t, http.StatusOK, `<html>`)
	_, err = client.Job("1")
	require.ErrorContains(t, err, "read the answer")

	require.Error(t, rest.New("127.0.0.1:1", "", 1).Healthy())
}

func TestReads(t *testing.T) {
	t.Parallel()
	client, asked, _ := serve(t, http.StatusOK, `{"job_id":"7","status":"succeeded"}`)
	job, err := client.Job("7")
	require.NoError(t, err)
	require.Equal(t, contract.StatusSucceeded, job.Status)
	require.Equal(t, "/api/v1/jobs/7", asked.URL.Path)
	require.NoError(t, client.Healthy())
	require.Equal(t, "/healthz", asked.URL.Path)
}

func TestLists(t *testing.T) {
	t.Parallel()
	client, asked, _ := serve(t, http.StatusOK, `{"jobs":[{"job_id":"7"}],"next_cursor":"c","queued":3}`)
	page, err := client.List("tag=a%3Db&limit=1")
	require.NoError(t, err)
	require.Len(t, page.Jobs, 1)
	require.Equal(t, "c", page.NextCursor)
	require.Equal(t, "/api/v1/jobs?tag=a%3Db&limit=1", asked.URL.RequestURI())
	counts, err := client.Counts()
	require.NoError(t, err)
	require.EqualValues(t, 3, counts.Queued)
	require.Equal(t, "/api/v1/jobs/counts", asked.URL.Path)
}
