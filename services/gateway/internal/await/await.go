// Package await waits for jobs to finish, by listening to the events rather
// than asking again and again.
package await

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
)

const (
	// flushWithin bounds the wait for the server to know what is listened to.
	flushWithin = 2 * time.Second
	// askWithin bounds one question for the state of a job, asking how many
	// there are at once.
	askWithin = 5 * time.Second
	asking    = 16
)

// End is how a job ended.
type End struct {
	Status contract.Status
	// ErrorText says why it failed; empty where it did not.
	ErrorText string
}

// Ask tells the state of a job.
type Ask func(ctx context.Context, jobID string) (End, error)

// Watcher hands the end of a job to whoever waits for it. It listens only
// while somebody waits. It is a run.Component, because events are missed while
// the connection is lost: when it is back, the jobs waited for are asked for.
type Watcher struct {
	nc  *nats.Conn
	ask Ask
	log zerolog.Logger

	mu      sync.Mutex
	waiting map[string][]chan End
	subs    []*nats.Subscription
}

// New makes a watcher.
func New(nc *nats.Conn, ask Ask, log zerolog.Logger) *Watcher {
	return &Watcher{nc: nc, ask: ask, log: log, waiting: map[string][]chan End{}}
}

// Name implements run.Component.
func (w *Watcher) Name() string { return "watcher of jobs" }

// Run implements run.Component.
func (w *Watcher) Run(ctx context.Context, ready func()) error {
	back := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(back)
	ready()
	for {
		select {
		case <-back:
			w.askForAll(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// askForAll looks at every job that is waited for. One that cannot be told of is
// left to its event, and to the end of its wait.
func (w *Watcher) askForAll(ctx context.Context) {
	w.mu.Lock()
	ids := slices.Collect(maps.Keys(w.waiting))
	w.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(asking)
	for _, id := range ids {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askWithin)
			defer cancel()
			end, err := w.ask(ctx, id)
			if err != nil {
				w.log.Debug().Err(err).Str(telemetry.FieldJobID, id).Msg("could not look at a job after the connection was lost")
				return nil
			}
			if end.Status.Finished() {
				w.tell(id, end)
			}
			return nil
		})
	}
	_ = group.Wait()
}

// Watch starts listening for the end of a job. Called before the job is
// submitted, it cannot miss it. stop must be called.
func (w *Watcher) Watch(jobID string) (finished <-chan End, stop func(), err error) {
	ch := make(chan End, 1)
	if err := w.add(jobID, ch); err != nil {
		return nil, nil, err
	}
	// The server must know of the interest before the job can finish. The lock
	// is not held meanwhile: a server that is away delays nobody else.
	if err := w.nc.FlushTimeout(flushWithin); err != nil {
		w.forget(jobID, ch)
		return nil, nil, fmt.Errorf("listen for finished jobs: %w", err)
	}
	return ch, func() { w.forget(jobID, ch) }, nil
}

func (w *Watcher) add(jobID string, ch chan End) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		if err := w.listen(); err != nil {
			return err
		}
	}
	w.waiting[jobID] = append(w.waiting[jobID], ch)
	return nil
}

func (w *Watcher) listen() error {
	for _, status := range contract.Statuses() {
		if !status.Finished() {
			continue
		}
		sub, err := w.nc.Subscribe(contract.JobEventPattern(status), bus.Guarded(w.log, w.receive))
		if err != nil {
			w.unlisten()
			return fmt.Errorf("listen for finished jobs: %w", err)
		}
		w.subs = append(w.subs, sub)
	}
	return nil
}

func (w *Watcher) unlisten() {
	for _, sub := range w.subs {
		if err := sub.Unsubscribe(); err != nil {
			w.log.Debug().Err(err).Msg("could not stop listening for finished jobs")
		}
	}
	w.subs = nil
}

func (w *Watcher) forget(jobID string, ch chan End) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.waiting[jobID][:0]
	for _, c := range w.waiting[jobID] {
		if c != ch {
			left = append(left, c)
		}
	}
	w.waiting[jobID] = left
	if len(left) == 0 {
		delete(w.waiting, jobID)
	}
	if len(w.waiting) == 0 {
		w.unlisten()
	}
}

func (w *Watcher) receive(msg *nats.Msg) {
	events, err := contract.DecodeEvents(msg.Data)
	if err != nil {
		return
	}
	for _, e := range events {
		var change contract.JobChange
		if err := json.Unmarshal(e.Data, &change); err != nil {
			continue
		}
		w.tell(change.JobID, End{change.Status, change.ErrorText})
	}
}

func (w *Watcher) tell(jobID string, end End) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.waiting[jobID] {
		select {
		case ch <- end:
		default:
		}
	}
}

// Wait returns how a job ended, or ok false when ctx ended first.
func Wait(ctx context.Context, finished <-chan End) (end End, ok bool) {
	select {
	case e := <-finished:
		return e, true
	case <-ctx.Done():
		return End{}, false
	}
}
