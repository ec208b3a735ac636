package load

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nexus.internal/chaos/internal/history"
)

const (
	// clients bounds how many jobs are being submitted at once: while nobody
	// answers, no more than these wait.
	clients = 48
	// rereadEvery is how often a job is read back.
	rereadEvery = 40 * time.Millisecond
	// publishAgain is when a message whose receipt may be worth nothing is sent
	// again, publishTimes how often it is sent before its client asks over REST.
	publishAgain = 5 * time.Second
	publishTimes = 3
)

// Recorder tells which requests have become jobs.
type Recorder interface {
	Recorded(requestID string) string
}

// Options describe the load of one run.
type Options struct {
	// Name and Seed decide what is asked for.
	Name string
	Seed uint64
	// PerSecond is how many jobs are submitted each second.
	PerSecond int
	// URL is the REST API, NATSURL the NATS door, Key and Owner whose jobs they are.
	URL, NATSURL, Key, Owner string
	// BrokerLost says that receipts of the broker are worth nothing: clients wait
	// for the event, and publish again when none comes.
	BrokerLost bool
	Events     Recorder
	File       *history.File
}

// Load is the clients of a run.
type Load struct {
	opts Options
	rest *rest
	door *door

	number atomic.Int64
	mu     sync.Mutex
	// done are jobs that their clients have finished with.
	done []string
	// promised are the idempotency keys whose clients took an answer for a promise.
	promised map[string]bool
}

// New makes the clients.
func New(opts Options) (*Load, error) {
	d, err := newDoor(opts.NATSURL, opts.Owner, opts.Key)
	if err != nil {
		return nil, err
	}
	return &Load{opts: opts, rest: newREST(opts.URL, opts.Key, clients), door: d, promised: map[string]bool{}}, nil
}

// Close closes the connections.
func (l *Load) Close() {
	l.door.nc.Close()
	l.rest.http.CloseIdleConnections()
}

// Started is how many jobs clients have begun to submit.
func (l *Load) Started() int { return int(l.number.Load()) }

// Promised lists the idempotency keys whose clients were promised a job.
func (l *Load) Promised() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.promised))
}

func (l *Load) promise(i intent) {
	l.mu.Lock()
	l.promised[i.key] = true
	l.mu.Unlock()
}

// Run submits jobs until going ends, and returns when every client has been
// answered. A client that still was not when ctx ends gives up.
func (l *Load) Run(ctx, going context.Context) {
	var working, rereading sync.WaitGroup
	stop := make(chan struct{})
	rereading.Go(func() { l.reread(ctx, stop) })
	free := make(chan struct{}, clients)
	tick := time.NewTicker(time.Second / time.Duration(l.opts.PerSecond))
	defer tick.Stop()
	for going.Err() == nil {
		select {
		case <-tick.C:
		case <-going.Done():
			continue
		}
		select {
		case free <- struct{}{}:
		case <-going.Done():
			continue
		}
		i := intentOf(l.opts.Name, l.opts.Seed, int(l.number.Add(1)))
		working.Go(func() {
			defer func() { <-free }()
			l.serve(ctx, i)
		})
	}
	working.Wait()
	close(stop)
	rereading.Wait()
}

// serve takes one job from its submit to the client's last word.
func (l *Load) serve(ctx context.Context, i intent) {
	if i.door {
		recorded, ok := l.atDoor(ctx, i)
		if !ok {
			return
		}
		if recorded {
			l.promise(i)
		}
		if recorded && !i.both {
			return
		}
	}
	a, ok := l.submit(ctx, i)
	if ok {
		l.promise(i)
	}
	if !ok || a.Status != http.StatusOK {
		return
	}
	if !l.until(ctx, i, a.JobID, "read its job", func() bool {
		read := l.rest.read(ctx, a.JobID)
		l.opts.File.Add(history.Record{Read: &read})
		return read.Status == http.StatusOK || read.Status == http.StatusNotFound
	}) {
		return
	}
	if i.cancel && !l.until(ctx, i, a.JobID, "cancel its job", func() bool {
		answer := l.rest.cancel(ctx, a.JobID)
		l.opts.File.Add(history.Record{Cancel: &answer})
		return answer.Status == http.StatusOK
	}) {
		return
	}
	l.mu.Lock()
	l.done = append(l.done, a.JobID)
	l.mu.Unlock()
}

// submit submits over REST until an answer counts.
func (l *Load) submit(ctx context.Context, i intent) (a history.Answer, ok bool) {
	ok = l.until(ctx, i, "", "submit its job", func() bool {
		a = l.rest.submit(ctx, i)
		l.opts.File.Add(history.Record{Submit: &history.Submit{Key: i.key, JobType: i.jobType, Answer: a}})
		return a.Status == http.StatusOK || a.Status == http.StatusAccepted && i.trust && !l.opts.BrokerLost
	})
	return a, ok
}

// atDoor publishes a job until it has a receipt, and where that may be worth
// nothing until an event says that the job is recorded. The event may have gone
// with the broker, and a repeat causes no other, so there is an end to it.
func (l *Load) atDoor(ctx context.Context, i intent) (recorded, ok bool) {
	receipts := 0
	ok = l.until(ctx, i, "", "publish its job", func() bool {
		sequence, err := l.door.publish(ctx, i)
		if err != nil {
			return false
		}
		l.opts.File.Add(history.Record{Receipt: &history.Receipt{Key: i.key, JobType: i.jobType, Sequence: sequence}})
		receipts++
		recorded = !l.opts.BrokerLost || l.seen(ctx, i)
		return recorded || receipts == publishTimes
	})
	return recorded, ok
}

// seen waits for the event that a job is recorded.
func (l *Load) seen(ctx context.Context, i intent) bool {
	patience := time.NewTimer(publishAgain)
	defer patience.Stop()
	tick := time.NewTicker(publishAgain / 20)
	defer tick.Stop()
	for {
		if l.opts.Events.Recorded(i.key) != "" {
			return true
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// until tries something again, less and less often, until it works. When ctx
// ends first the client gives up.
func (l *Load) until(ctx context.Context, i intent, jobID, doing string, try func() bool) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if try() {
			return true
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2)) //nolint:gosec // clients must not try in step
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			l.opts.File.Add(history.Record{GaveUp: &history.GaveUp{Key: i.key, JobID: jobID, Doing: doing}})
			return false
		}
	}
}

// reread reads back jobs whose clients are through with them.
func (l *Load) reread(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.Reread(ctx, 1)
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Reread reads n jobs back, chosen at random.
func (l *Load) Reread(ctx context.Context, n int) {
	for range n {
		l.mu.Lock()
		id := ""
		if len(l.done) > 0 {
			id = l.done[rand.IntN(len(l.done))] //nolint:gosec // any will do
		}
		l.mu.Unlock()
		if id == "" {
			return
		}
		read := l.rest.read(ctx, id)
		l.opts.File.Add(history.Record{Read: &read})
	}
}
