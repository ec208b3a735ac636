package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// stopFile ends the load when it appears.
	stopFile = "/tmp/stop"
	// operatorKey is the well-known key of the dev overlay.
	operatorKey = "nexus-dev-operator-key"
	// clients submit one job after the other, each so often.
	clients     = 8
	submitEvery = 160 * time.Millisecond
	// requestWithin bounds one request.
	requestWithin = 10 * time.Second
	// retryFor is how long a submit that failed is repeated with its key, and how long
	// jobs are waited for in the end, together.
	retryFor = 3 * time.Minute
	// retryRest is between two of these.
	retryRest = 500 * time.Millisecond
)

// tally is what came of a load.
type tally struct {
	// Requests were made, the repeated ones not counted; Failed of them did not get a
	// good answer at once. Repeats are how often those were made again.
	Requests, Failed, Repeats int
	// Reasons says how requests failed.
	Reasons map[string]int
	// Jobs were accepted. Lost of them are unknown or never ended, Unsuccessful ended
	// otherwise than well, Retried took more than one attempt.
	Jobs, Lost, Unsuccessful, Retried int
	Seconds                           int
}

// load submits jobs to a gateway.
type load struct {
	url    string
	client *http.Client
	run    string
	// patience is how long jobs are waited for in the end.
	patience time.Duration

	mu    sync.Mutex
	tally tally
	jobs  []string
}

// loadUntilStopped submits jobs until stopFile appears, waits for all of them, and
// writes the tally as a line of JSON.
func loadUntilStopped(ctx context.Context, url string, out io.Writer) error {
	l := &load{
		url: url, patience: retryFor, run: fmt.Sprintf("load-%d", time.Now().UnixNano()), tally: tally{Reasons: map[string]int{}},
		client: &http.Client{Timeout: requestWithin, Transport: &http.Transport{MaxIdleConnsPerHost: clients, IdleConnTimeout: time.Minute}},
	}
	begun := time.Now()
	var submitting errgroup.Group
	for c := range clients {
		submitting.Go(func() error { return l.submitAll(ctx, c) })
	}
	if err := submitting.Wait(); err != nil {
		return err
	}
	l.tally.Seconds = int(time.Since(begun).Seconds())
	if err := l.collect(ctx); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(l.tally)
}

func stopped() bool {
	_, err := os.Stat(stopFile)
	return err == nil
}

// submitAll is one client.
func (l *load) submitAll(ctx context.Context, client int) error {
	tick := time.NewTicker(submitEvery)
	defer tick.Stop()
	for n := 0; !stopped(); n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := l.submit(ctx, fmt.Sprintf("%s-%d-%d", l.run, client, n)); err != nil {
			return err
		}
	}
	return nil
}

// submit has one job accepted, whatever it takes.
func (l *load) submit(ctx context.Context, key string) error {
	body, err := json.Marshal(map[string]any{"job_type": "noop", "execution_mode": "async", "idempotency_key": key})
	if err != nil {
		return err
	}
	begun := time.Now()
	for repeats := 0; ; repeats++ {
		var answer struct {
			JobID string `json:"job_id"`
		}
		err := l.ask(ctx, http.MethodPost, "/api/v1/jobs/submit", body, &answer)
		l.count(repeats, err)
		switch {
		case err == nil:
			l.mu.Lock()
			l.jobs = append(l.jobs, answer.JobID)
			l.mu.Unlock()
			return nil
		case time.Since(begun) > retryFor:
			return fmt.Errorf("submit %s: %w", key, err)
		}
		if err := rest(ctx); err != nil {
			return err
		}
	}
}

func (l *load) count(repeats int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if repeats == 0 {
		l.tally.Requests++
	} else {
		l.tally.Repeats++
	}
	if err != nil {
		if repeats == 0 {
			l.tally.Failed++
		}
		l.tally.Reasons[err.Error()]++
	}
}

// errUnknown is the answer of a gateway that knows no such job.
var errUnknown = errors.New("status 404")

// ask makes a request. Its error says what failed without what differs between two
// requests.
func (l *load) ask(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Nexus-API-Key", operatorKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client.Do(req)
	if err != nil {
		for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
			err = inner
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNotFound:
		return errUnknown
	case resp.StatusCode >= http.StatusMultipleChoices:
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(text, &problem)
		return fmt.Errorf("status %d: %s", resp.StatusCode, problem.Detail)
	}
	return json.Unmarshal(text, answer)
}

func rest(ctx context.Context) error {
	timer := time.NewTimer(retryRest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collect waits for every job and counts how they ended.
func (l *load) collect(ctx context.Context) error {
	l.tally.Jobs = len(l.jobs)
	end := time.Now().Add(l.patience)
	for _, id := range l.jobs {
		status, attempts, err := l.ended(ctx, id, end)
		if err != nil {
			return err
		}
		switch status {
		case "succeeded":
		case "":
			l.tally.Lost++
		default:
			l.tally.Unsuccessful++
		}
		if attempts > 1 {
			l.tally.Retried++
		}
	}
	return nil
}

// ended is how a job ended; an empty status where it is unknown, or has not by end.
func (l *load) ended(ctx context.Context, id string, end time.Time) (status string, attempts int, err error) {
	for {
		var job struct {
			Status       string `json:"status"`
			AttemptCount int    `json:"attempt_count"`
		}
		err := l.ask(ctx, http.MethodGet, "/api/v1/jobs/"+id, nil, &job)
		switch {
		case err == nil && (job.Status == "succeeded" || job.Status == "failed" || job.Status == "cancelled"):
			return job.Status, job.AttemptCount, nil
		case time.Now().After(end):
			return "", job.AttemptCount, nil
		}
		if err := rest(ctx); err != nil {
			return "", 0, err
		}
	}
}
