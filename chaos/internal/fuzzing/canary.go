package fuzzing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/chaos/internal/cluster"
	"nexus.internal/libs/contract"
)

// client asks as a well-behaved one does.
type client struct{ address, key string }

const askWithin = 15 * time.Second

func (c client) ask(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", path, err)
	}
	req.Header.Set("X-Nexus-API-Key", c.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

func (c client) get(ctx context.Context, path string) ([]byte, error) {
	status, text, err := c.ask(ctx, http.MethodGet, path, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", path, status, text)
	}
	return text, err
}

func (c client) read(ctx context.Context, path string, out any) error {
	text, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// canaryWithin bounds the wait for one new job, behind all that was sent.
const canaryWithin = 60 * time.Second

// canary puts back what an admin may have turned meanwhile, and has one job done
// through each door.
func (r *run) canary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*canaryWithin)
	defer cancel()
	if err := r.repair(ctx); err != nil {
		return err
	}
	api := client{r.nexus.Address(), cluster.OperatorKey}
	status, text, err := api.ask(ctx, http.MethodPost, "/api/v1/jobs/submit", []byte(`{"job_type":"noop","priority":"high"}`))
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("a submit over REST: %d %s", status, text)
	}
	var made struct {
		JobID string `json:"job_id"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return fmt.Errorf("read the answer to a submit: %w", err)
	}
	if err := r.done(ctx, api, made.JobID); err != nil {
		return fmt.Errorf("over REST: %w", err)
	}
	// The key leads to the job from outside.
	body := fmt.Appendf(nil, `{"idempotency_key":"canary-%d","priority":"high"}`, time.Now().UnixNano())
	if _, err := r.door.js.Publish(ctx, "nexus.submit."+cluster.Owner+".noop", body, jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("a message to the NATS door: %w", err)
	}
	var ask map[string]any
	if err := json.Unmarshal(body, &ask); err != nil {
		return err
	}
	ask["job_type"] = "noop"
	again, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	if status, text, err = api.ask(ctx, http.MethodPost, "/api/v1/jobs/submit", again); err != nil || status != http.StatusOK {
		return fmt.Errorf("the same job over REST: %d %s %w", status, text, err)
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return fmt.Errorf("read the answer to a submit: %w", err)
	}
	if err := r.done(ctx, api, made.JobID); err != nil {
		return fmt.Errorf("over NATS: %w", err)
	}
	return nil
}

// done waits for the end of a job.
func (r *run) done(ctx context.Context, api client, id string) error {
	ctx, cancel := context.WithTimeout(ctx, canaryWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var text []byte
	for {
		var job struct {
			Status contract.Status `json:"status"`
		}
		now, err := api.get(ctx, "/api/v1/jobs/"+id)
		if err == nil {
			text, err = now, json.Unmarshal(now, &job)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			return err
		case job.Status == contract.StatusSucceeded:
			return nil
		case job.Status.Finished():
			return fmt.Errorf("a new job has %s", job.Status)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("a new job was not done within %s: %s\n  %s", canaryWithin, text, r.situation(ctx))
		}
	}
}

// situation is what an admin sees of the queues and workers, for whoever wonders
// why nothing moves.
func (r *run) situation(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
	defer cancel()
	admin := client{r.nexus.Address(), adminKey}
	var out []string
	for _, path := range []string{"/api/v1/queues", "/api/v1/workers", "/api/v1/job-types", "/readyz"} {
		_, text, err := admin.ask(ctx, http.MethodGet, path, nil)
		if err != nil {
			text = []byte(err.Error())
		}
		out = append(out, path+": "+strings.TrimSpace(string(text)))
	}
	return strings.Join(out, "\n  ")
}

// repair undoes what requests of an admin may have done to the queues and to the
// type of the canary.
func (r *run) repair(ctx context.Context) error {
	admin := client{r.nexus.Address(), adminKey}
	// First the type: a queue that no type uses is not listed.
	status, text, err := admin.ask(ctx, http.MethodPut, "/api/v1/job-types/noop", []byte(`{"queue":"bench","max_attempts":3,"timeout_seconds":60,"runs_per_message":32}`))
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("put the job type back: %d %s %w", status, text, err)
	}
	var queues struct {
		Queues []struct {
			Name   string `json:"name"`
			Paused bool   `json:"paused"`
		} `json:"queues"`
	}
	if err := admin.read(ctx, "/api/v1/queues", &queues); err != nil {
		return err
	}
	for _, q := range queues.Queues {
		if q.Paused {
			if status, text, err := admin.ask(ctx, http.MethodPost, "/api/v1/queues/"+q.Name+"/resume", nil); err != nil || status != http.StatusOK {
				return fmt.Errorf("resume a queue: %d %s %w", status, text, err)
			}
		}
	}
	return nil
}
