// Package await waits for jobs to finish, by listening to the events rather
// than asking again and again.
package await

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

// flushWithin bounds the wait for the server to know what is listened to.
const flushWithin = 2 * time.Second

// Watcher hands the end of a job to whoever waits for it. It listens only
// while somebody waits.
type Watcher struct {
	nc  *nats.Conn
	log zerolog.Logger

	mu      sync.Mutex
	waiting map[string][]chan contract.Status
	subs    []*nats.Subscription
}

// New makes a watcher.
func New(nc *nats.Conn, log zerolog.Logger) *Watcher {
	return &Watcher{nc: nc, log: log, waiting: map[string][]chan contract.Status{}}
}

// Watch starts listening for the end of a job. Called before the job is
// submitted, it cannot miss it. stop must be called.
func (w *Watcher) Watch(jobID string) (finished <-chan contract.Status, stop func(), err error) {
	ch := make(chan contract.Status, 1)
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

func (w *Watcher) add(jobID string, ch chan contract.Status) error {
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
		sub, err := w.nc.Subscribe(contract.JobEventPattern(status), w.receive)
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

func (w *Watcher) forget(jobID string, ch chan contract.Status) {
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
		w.mu.Lock()
		for _, ch := range w.waiting[change.JobID] {
			select {
			case ch <- change.Status:
			default:
			}
		}
		w.mu.Unlock()
	}
}

// Wait returns the status of a finished job, or ok false when ctx ended first.
func Wait(ctx context.Context, finished <-chan contract.Status) (status contract.Status, ok bool) {
	select {
	case s := <-finished:
		return s, true
	case <-ctx.Done():
		return "", false
	}
}
