// Package fuzzing sends a running Nexus what nobody should send, for a while,
// and gathers what was wrong with its answers.
package fuzzing

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nexus.internal/chaos/internal/cluster"
	"nexus.internal/chaos/internal/exchange"
	"nexus.internal/chaos/internal/hostile"
	"nexus.internal/chaos/internal/openapi"
	"nexus.internal/chaos/internal/verdict"
)

// Focus is a part of what is tried.
type Focus string

// What can be tried.
const (
	All  Focus = "all"
	REST Focus = "rest"
	Raw  Focus = "raw"
	NATS Focus = "nats"
)

// Options describe a run.
type Options struct {
	// Seed is what everything that is sent follows from.
	Seed uint64
	// For and Most bound the run: how long, and how many requests and messages.
	For  time.Duration
	Most uint64
	// Only, if not zero, is the one request to send.
	Only     uint64
	Parallel int
	Focus    Focus
	// Route, if not "", is a part of the paths to try.
	Route string
	// MostMemory is how much memory the process may use, in bytes.
	MostMemory int64
	// Dir is where requests that were answered wrongly are kept.
	Dir string
}

// Report is what came of a run.
type Report struct {
	Requests, Messages uint64
	// Statuses counts the answers.
	Statuses map[int]int
	// Waiting counts the answers that asked to come back later.
	Waiting    int
	PeakMemory int64
	Findings   []Finding
}

// run is a run under way.
type run struct {
	opts    Options
	nexus   *cluster.Single
	doc     *openapi.Document
	routes  []openapi.Operation
	submit  *openapi.Schema
	seen    *hostile.Seen
	kit     *hostile.Kit
	judge   verdict.Judge
	found   *findings
	door    *door
	next    atomic.Uint64
	through sync.WaitGroup

	mu       sync.Mutex
	statuses map[int]int
	waiting  int
	sent     uint64
}

// callers are the bootstrap keys of a development installation, and nobody.
func callers() []hostile.Caller {
	return []hostile.Caller{
		{Role: "viewer", Key: "nexus-dev-viewer-key"},
		{Role: "operator", Key: cluster.OperatorKey},
		{Role: "researcher", Key: "nexus-dev-researcher-key"},
		{Role: "admin", Key: adminKey},
	}
}

const adminKey = "nexus-dev-admin-key"

// Run tries a Nexus that serves.
func Run(ctx context.Context, nexus *cluster.Single, opts Options) (Report, error) {
	r := &run{opts: opts, nexus: nexus, statuses: map[int]int{}, found: newFindings(opts.Dir, nexus.Address())}
	if err := r.prepare(ctx); err != nil {
		return Report{}, err
	}
	defer r.door.close()
	limit, cancel := context.WithTimeout(ctx, opts.For)
	defer cancel()
	for range opts.Parallel {
		r.through.Go(func() { r.work(ctx, limit) })
	}
	r.through.Wait()
	// Whatever was tried, the platform goes on: at both doors, for a new job.
	if err := r.canary(ctx); err != nil && ctx.Err() == nil {
		r.found.add(Finding{What: "the canary", Problem: err.Error()})
	}
	r.door.await(ctx, r.found)
	peak := r.inspect()
	return Report{Requests: r.sent, Messages: r.door.published(), Statuses: r.statuses, Waiting: r.waiting, PeakMemory: peak, Findings: r.found.all()}, nil
}

// prepare reads what there is to try, and notes what has to stay whole: the
// keys that all this is done with.
func (r *run) prepare(ctx context.Context) error {
	api := client{r.nexus.Address(), adminKey}
	text, err := api.get(ctx, "/openapi.json")
	if err != nil {
		return err
	}
	if r.doc, err = openapi.Parse(text); err != nil {
		return err
	}
	var secrets, spared []string
	for _, c := range callers() {
		var who struct {
			ID string `json:"api_key_id"`
		}
		if err := (client{r.nexus.Address(), c.Key}).read(ctx, "/api/v1/auth/whoami", &who); err != nil {
			return err
		}
		secrets, spared = append(secrets, c.Key), append(spared, who.ID)
	}
	r.judge, r.seen = verdict.New(append(secrets, "secret-of-nobody")...), hostile.NewSeen(spared...)
	r.kit = hostile.NewKit(r.doc, r.seen)
	for _, op := range r.doc.Operations {
		if strings.Contains(op.Path, r.opts.Route) {
			r.routes = append(r.routes, op)
		}
		if op.Path == "/api/v1/jobs/submit" {
			r.submit = op.Body
		}
	}
	if len(r.routes) == 0 {
		return fmt.Errorf("no path holds %q", r.opts.Route)
	}
	r.door, err = openDoor(r.nexus.NATSURL(), cluster.Owner, cluster.OperatorKey)
	return err
}

// work sends one thing after the other until the time is over, or the process
// is gone.
func (r *run) work(ctx, limit context.Context) {
	for limit.Err() == nil {
		n := r.next.Add(1)
		if r.opts.Only != 0 {
			if n > 1 {
				return
			}
			n = r.opts.Only
		}
		if r.opts.Most != 0 && n > r.opts.Most || r.nexus.EndedByItself() > 0 {
			return
		}
		r.try(ctx, n)
	}
}

// kind is how much of everything is tried: of ten, two are messages and one is
// broken HTTP.
func (r *run) kind(n uint64) Focus {
	if r.opts.Focus != All {
		return r.opts.Focus
	}
	switch n % 10 {
	case 0, 5:
		return NATS
	case 7:
		return Raw
	default:
		return REST
	}
}

func (r *run) try(ctx context.Context, n uint64) {
	source := r.kit.Source(r.opts.Seed, n)
	switch r.kind(n) {
	case NATS:
		r.door.publish(ctx, source.Message(cluster.Owner, fmt.Sprintf("fuzz-%d", n), r.submit), n, r.found)
	case Raw:
		r.exchange(ctx, n, source.Broken(callers()))
	default:
		r.exchange(ctx, n, source.Request(r.routes[source.IntN(len(r.routes))], callers()))
	}
}

func (r *run) exchange(ctx context.Context, n uint64, req hostile.Request) {
	began := time.Now()
	answers, err := exchange.Do(ctx, r.nexus.Address(), exchange.Send{Bytes: req.Bytes, Method: req.Method, Endless: req.Endless, Several: req.Broken})
	if ctx.Err() != nil {
		return
	}
	took := time.Since(began)
	r.mu.Lock()
	r.sent++
	for _, a := range answers {
		r.statuses[a.Status]++
		if verdict.Waiting(a) {
			r.waiting++
		}
	}
	r.mu.Unlock()
	for _, problem := range r.judge.Problems(req, answers, err, took) {
		r.found.add(Finding{Number: n, What: req.What, Problem: problem, Bytes: req.Bytes})
	}
	if !req.Broken {
		for _, a := range answers {
			r.remember(a)
		}
	}
}

// remember keeps the ids in an answer, so that others can ask for what exists.
func (r *run) remember(a exchange.Answer) {
	if a.Status >= 300 || len(a.Body) > 256<<10 || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		return
	}
	var v any
	if json.Unmarshal(a.Body, &v) == nil {
		r.learn(v, 0)
	}
}

func (r *run) learn(v any, depth int) {
	switch v := v.(type) {
	case []any:
		for _, item := range v[:min(len(v), 20)] {
			r.learn(item, depth+1)
		}
	case map[string]any:
		for name, value := range v {
			text, isText := value.(string)
			switch {
			case isText && (strings.HasSuffix(name, "_id") || name == "next_cursor"):
				r.seen.Add(name, text)
			case isText && name == "id":
				r.seen.Add("document_id", text)
			case isText && name == "name" && v["runs_per_message"] != nil:
				r.seen.Add("job type", text)
			case name == "id" && v["reason"] != nil:
				r.seen.Add("dead letter", fmt.Sprint(value))
			case depth < 3:
				r.learn(value, depth+1)
			}
		}
	}
}

// mostWaiting is the share of answers that may ask to come back later: nothing
// is broken here, so what is not available is only ever busy.
const mostWaiting = 0.02

// inspect looks at the process: its memory, its log, and whether it is the one
// that was started.
func (r *run) inspect() int64 {
	peak, err := r.nexus.PeakMemory()
	if err != nil {
		r.found.add(Finding{What: "memory", Problem: err.Error()})
	}
	if r.opts.MostMemory > 0 && peak > r.opts.MostMemory {
		r.found.add(Finding{What: "memory", Problem: fmt.Sprintf("the process used %d MiB: want at most %d", peak>>20, r.opts.MostMemory>>20)})
	}
	if n := r.nexus.EndedByItself(); n > 0 {
		r.found.add(Finding{What: "the process", Problem: fmt.Sprintf("it ended by itself, %d times", n)})
	}
	total := 0
	for _, n := range r.statuses {
		total += n
	}
	if float64(r.waiting) > mostWaiting*float64(total)+1 {
		r.found.add(Finding{What: "503", Problem: fmt.Sprintf("%d of %d answers ask to come back later", r.waiting, total)})
	}
	log, err := r.nexus.Log()
	if err != nil {
		r.found.add(Finding{What: "the log", Problem: err.Error()})
	}
	for line := range strings.Lines(log) {
		if word, bad := alarming(line); bad {
			r.found.add(Finding{What: "the log", Problem: "it speaks of " + word + ": " + verdict.Short([]byte(strings.TrimSpace(line)))})
		}
	}
	return peak
}

// alarming says which word of a line of the log nobody should ever read.
func alarming(line string) (string, bool) {
	for _, word := range []string{"panic", "goroutine ", "fatal error", `"level":"fatal"`, "nil pointer", "DATA RACE"} {
		if strings.Contains(line, word) {
			return word, true
		}
	}
	return "", false
}
