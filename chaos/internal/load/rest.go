package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"nexus.internal/chaos/internal/history"
	"nexus.internal/libs/contract"
)

// answerWithin bounds one request.
const answerWithin = 10 * time.Second

// rest uses the REST API.
type rest struct {
	base, key string
	http      *http.Client
}

func newREST(base, key string, clients int) *rest {
	return &rest{base: base, key: key, http: &http.Client{
		Timeout: answerWithin, Transport: &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients * 2},
	}}
}

type submitBody struct {
	JobType        string          `json:"job_type"`
	Payload        json.RawMessage `json:"payload"`
	IdempotencyKey string          `json:"idempotency_key"`
	MaxAttempts    int             `json:"max_attempts"`
}

func (i intent) body() ([]byte, error) {
	return json.Marshal(submitBody{JobType: i.jobType, Payload: json.RawMessage(i.payload), IdempotencyKey: i.key, MaxAttempts: i.maxAttempts})
}

func (r *rest) submit(ctx context.Context, i intent) history.Answer {
	body, err := i.body()
	if err != nil {
		return history.Answer{Error: err.Error()}
	}
	return r.ask(ctx, http.MethodPost, "/api/v1/jobs/submit", body)
}

func (r *rest) cancel(ctx context.Context, id string) history.Answer {
	return r.named(id, r.ask(ctx, http.MethodPost, "/api/v1/jobs/"+id+"/cancel", nil))
}

func (r *rest) read(ctx context.Context, id string) history.Answer {
	return r.named(id, r.ask(ctx, http.MethodGet, "/api/v1/jobs/"+id, nil))
}

// named says which job was asked for where the answer does not.
func (r *rest) named(id string, a history.Answer) history.Answer {
	a.JobID = id
	return a
}

// ask makes a request. What keeps an answer from coming is part of the answer.
func (r *rest) ask(ctx context.Context, method, path string, body []byte) history.Answer {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return history.Answer{Error: err.Error()}
	}
	req.Header.Set("X-Nexus-API-Key", r.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return history.Answer{Error: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusAccepted {
		var job struct {
			JobID  string          `json:"job_id"`
			Status contract.Status `json:"status"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&job); err != nil {
			// The answer was cut: nobody knows what it was.
			return history.Answer{Error: fmt.Sprintf("read the answer: %v", err)}
		}
		return history.Answer{Status: resp.StatusCode, JobID: job.JobID, JobStatus: job.Status}
	}
	var problem struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil {
		problem.Detail = err.Error()
	}
	return history.Answer{Status: resp.StatusCode, Code: problem.Code, Error: problem.Detail, RetryAfter: resp.Header.Get("Retry-After")}
}
