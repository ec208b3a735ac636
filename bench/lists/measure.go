package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"time"

	"nexus.internal/bench/internal/manyjobs"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/plans"
	"nexus.internal/bench/internal/rest"
)

// goal is what a list may take.
const goal = 50 * time.Millisecond

const (
	// warmUp is how often a list is asked for before it is timed.
	warmUp = 5
	// longest is how long one list is timed, however slow it is.
	longest = 4 * time.Second
)

// finding is what was found out about a list.
type finding struct {
	query
	rows, calls     int
	p50, p99, worst time.Duration
	plans           []plans.Plan
	// failed is why there was no answer.
	failed error
}

// missed reports whether the list took longer than it may.
func (f finding) missed() bool { return f.failed != nil || f.p99 > goal }

// asker asks for lists over REST, one at a time.
type asker struct {
	client *rest.Client
	now    time.Time
}

// prepare finds the cursor of a deep page.
func (a asker) prepare(q query) (query, error) {
	if !q.deep {
		return q, nil
	}
	values := maps.Clone(q.values)
	values.Set("created_before", a.now.Add(-manyjobs.Span*9/10).UTC().Format(time.RFC3339))
	values.Set("limit", "1")
	page, err := a.client.List(values.Encode())
	if err != nil {
		return q, err
	}
	if page.NextCursor == "" {
		return q, fmt.Errorf("%s: there is nothing so deep", q.name)
	}
	q.values = maps.Clone(q.values)
	q.values.Set("cursor", page.NextCursor)
	return q, nil
}

// ask asks once and returns how many jobs there were.
func (a asker) ask(q query) (int, error) {
	if q.counts {
		_, err := a.client.Counts()
		return 6, err
	}
	page, err := a.client.List(q.values.Encode())
	return len(page.Jobs), err
}

// time asks again and again. A list that is not answered ends it.
func (a asker) time(ctx context.Context, q query, calls int) (finding, error) {
	f := finding{query: q}
	var taken pace.Latencies
	end := time.Now().Add(longest)
	for i := -warmUp; i < calls; i++ {
		if late := time.Now().After(end); late && i > 0 {
			break
		} else if late {
			i = 0
		}
		if err := context.Cause(ctx); err != nil {
			return f, err
		}
		began := time.Now()
		if f.rows, f.failed = a.ask(q); f.failed != nil {
			return f, nil
		}
		if i >= 0 {
			taken.Add(time.Since(began))
		}
	}
	f.calls = taken.Count()
	f.p50, f.p99, f.worst = taken.Quantile(0.5), taken.Quantile(0.99), taken.Quantile(1)
	return f, nil
}

// describe is what to put behind the path to ask for the same.
func (q query) describe() string {
	if q.counts {
		return "/counts"
	}
	values := url.Values{}
	for name, v := range q.values {
		values[name] = v
	}
	if q.deep {
		values.Set("cursor", "…")
	}
	text, err := url.QueryUnescape(values.Encode())
	if err != nil || text == "" {
		return ""
	}
	return "?" + text
}
