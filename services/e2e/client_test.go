package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	viewerKey     = "nexus-dev-viewer-key"
	operatorKey   = "nexus-dev-operator-key"
	researcherKey = "nexus-dev-researcher-key"
	adminKey      = "nexus-dev-admin-key"
)

// client uses the REST API with one key.
type client struct {
	t    testing.TB
	base string
	key  string
}

// call makes a request and decodes the answer into a map.
func (c client) call(method, path string, body any) (status int, answer map[string]any, header http.Header) {
	c.t.Helper()
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		require.NoError(c.t, err)
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, in)
	require.NoError(c.t, err)
	if c.key != "" {
		req.Header.Set("X-Nexus-API-Key", c.key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, resp.Body.Close()) }()
	data, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	answer = map[string]any{}
	require.NoError(c.t, json.Unmarshal(data, &answer), "%s %s: %s", method, path, data)
	return resp.StatusCode, answer, resp.Header
}

// get requires 200.
func (c client) get(path string) map[string]any {
	c.t.Helper()
	status, answer, _ := c.call(http.MethodGet, path, nil)
	require.Equal(c.t, http.StatusOK, status, "%v", answer)
	return answer
}

// submit requires 200 and returns the job's id and status.
func (c client) submit(job map[string]any) (id, status string) {
	c.t.Helper()
	code, answer, _ := c.call(http.MethodPost, "/api/v1/jobs/submit", job)
	require.Equal(c.t, http.StatusOK, code, "%v", answer)
	return answer["job_id"].(string), answer["status"].(string)
}

// finished waits until a job has ended.
func (c client) finished(id string) map[string]any {
	c.t.Helper()
	var job map[string]any
	require.Eventually(c.t, func() bool {
		job = c.get("/api/v1/jobs/" + id)
		switch job["status"] {
		case "succeeded", "failed", "cancelled":
			return true
		}
		return false
	}, patience, 20*time.Millisecond, "job %s did not end", id)
	return job
}

// text makes a request and returns the answer as it is.
func (c client) text(method, path, body string, header map[string]string) (status int, answer string) {
	c.t.Helper()
	var in io.Reader
	if body != "" && method != http.MethodGet {
		in = bytes.NewReader([]byte(body))
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, in)
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		req.Header.Set("X-Nexus-API-Key", c.key)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, resp.Body.Close()) }()
	data, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp.StatusCode, string(data)
}
