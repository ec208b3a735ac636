package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"nexus.internal/libs/contract"
)

// answerWithin bounds a request.
const answerWithin = 30 * time.Second

// ErrRefused says that nexus cannot take the request now (429 or 503).
var ErrRefused = errors.New("refused for now")

// Client asks one nexus over at most as many connections as it was made for.
type Client struct {
	base string
	key  string
	http *fasthttp.HostClient
}

// New makes a client of the nexus at addr, host:port, that presents key.
func New(addr, key string, connections int) *Client {
	return &Client{base: "http://" + addr, key: key, http: &fasthttp.HostClient{
		Addr: addr, MaxConns: connections, ReadTimeout: answerWithin, WriteTimeout: answerWithin,
		MaxIdleConnDuration: time.Minute, DisablePathNormalizing: true,
		// A submit that is sent again is another job.
		RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
	}}
}

// Close closes the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// SubmitBody is the body of a submit of one no-op job.
func SubmitBody(payload json.RawMessage) []byte {
	return fmt.Appendf(nil, `{"job_type":%q,"execution_mode":"async","payload":%s}`, contract.JobNoop, payload)
}

// Submitted is the answer to a submit.
type Submitted struct {
	JobID  string          `json:"job_id"`
	Status contract.Status `json:"status"`
}

// Confirmed reports whether the job was committed when the answer was given.
func (s Submitted) Confirmed() bool { return s.Status != contract.StatusAccepted }

// Submit submits one job with a body of SubmitBody.
func (c *Client) Submit(body []byte) (Submitted, error) {
	var out Submitted
	err := c.ask(http.MethodPost, "/api/v1/jobs/submit", body, &out)
	return out, err
}

// BatchBody is the body of a batch of no-op jobs.
func BatchBody(payloads []json.RawMessage) []byte {
	body := []byte(`{"jobs":[`)
	for i, p := range payloads {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, SubmitBody(p)...)
	}
	return append(body, "]}"...)
}

// SubmitBatch submits jobs with a body of BatchBody.
func (c *Client) SubmitBatch(body []byte) ([]Submitted, error) {
	var out struct {
		Jobs []Submitted `json:"jobs"`
	}
	err := c.ask(http.MethodPost, "/api/v1/jobs/batch", body, &out)
	return out.Jobs, err
}

// Job reads one job.
func (c *Client) Job(id string) (contract.Job, error) {
	var out contract.Job
	err := c.ask(http.MethodGet, "/api/v1/jobs/"+id, nil, &out)
	return out, err
}

// List reads a page of jobs. query is what follows the question mark.
func (c *Client) List(query string) (contract.ListJobsReply, error) {
	var out contract.ListJobsReply
	err := c.ask(http.MethodGet, "/api/v1/jobs?"+query, nil, &out)
	return out, err
}

// Counts reads how many jobs there are in each state.
func (c *Client) Counts() (contract.JobCounts, error) {
	var out contract.JobCounts
	err := c.ask(http.MethodGet, "/api/v1/jobs/counts", nil, &out)
	return out, err
}

// Healthy asks for a sign of life.
func (c *Client) Healthy() error { return c.ask(http.MethodGet, "/healthz", nil, nil) }

// WhoAmI asks who the key belongs to, the least that needs one.
func (c *Client) WhoAmI() error { return c.ask(http.MethodGet, "/api/v1/auth/whoami", nil, nil) }

func (c *Client) ask(method, path string, body []byte, out any) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI(c.base + path)
	req.Header.Set("X-Nexus-API-Key", c.key)
	if body != nil {
		req.Header.SetContentType("application/json")
		req.SetBodyRaw(body)
	}
	if err := c.http.Do(req, resp); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	switch status := resp.StatusCode(); status {
	case http.StatusOK, http.StatusAccepted:
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return fmt.Errorf("%s %s: %w: %s", method, path, ErrRefused, resp.Body())
	default:
		return fmt.Errorf("%s %s: status %d: %s", method, path, status, resp.Body())
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(resp.Body(), out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}
