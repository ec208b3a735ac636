package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
)

// delivery is one run message. It is settled when the last of its jobs is claimed or
// refused: from then on the leases guard the runs, and the sweeper recovers those
// whose worker is lost.
type delivery struct {
	msg   jetstream.Msg
	left  atomic.Int32
	again atomic.Bool
}

// redeliverAfter is when a message comes back whose jobs could not be claimed
// because the jobs service did not answer.
const redeliverAfter = 2 * time.Second

// settle ends the message for one of its jobs. again asks for the message to
// be delivered once more.
func (d *delivery) settle(again bool) error {
	if again {
		d.again.Store(true)
	}
	if d.left.Add(-1) > 0 {
		return nil
	}
	if d.again.Load() {
		return d.msg.NakWithDelay(redeliverAfter)
	}
	return d.msg.Ack()
}

// item is one job of a delivery on its way through the worker.
type item struct {
	jobID    string
	token    string
	delivery *delivery
	// trace is the trace context the run message came with.
	trace string
	// freed says that the item's slot was given back, settled that its message is.
	freed, settled atomic.Bool
	// counted says that the worker's limit has the item, ran that its handler
	// was called.
	counted, ran bool
	grant        contract.Grant
	cancel       context.CancelCauseFunc
	result       contract.RunResult
	// progress is the newest report that no heartbeat has carried.
	progress atomic.Pointer[contract.Progress]
}

func newItem(jobID, trace string, d *delivery) *item {
	return &item{jobID: jobID, token: uuid.NewString(), trace: trace, delivery: d}
}

func (i *item) ref() contract.LeaseRef {
	return contract.LeaseRef{JobID: i.jobID, LeaseToken: i.token}
}

// escaped is how many bytes one byte of text may become in JSON.
const escaped = 6

// resultWeight is the most bytes the item's result takes in a request.
func (i *item) resultWeight() int {
	n := 512 + len(i.result.Result) + escaped*len(i.result.ErrorText)
	for _, a := range i.result.Artifacts {
		n += nameWeight(a) + len(a.Payload)
	}
	return n
}

// nameWeight is the most bytes an artifact takes in a request without its payload.
func nameWeight(a contract.Artifact) int { return 64 + escaped*(len(a.Type)+len(a.Ref)) }

// heldJobs are the jobs this worker has a lease on, or is asking for one.
type heldJobs struct {
	mu    sync.Mutex
	items map[*item]struct{}
	// stopped is why no run may go on, once none may.
	stopped error
}

func newHeldJobs() *heldJobs { return &heldJobs{items: map[*item]struct{}{}} }

func (h *heldJobs) add(i *item) {
	h.mu.Lock()
	h.items[i] = struct{}{}
	h.mu.Unlock()
}

func (h *heldJobs) remove(i *item) {
	h.mu.Lock()
	delete(h.items, i)
	h.mu.Unlock()
}

func (h *heldJobs) has(i *item) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, held := h.items[i]
	return held
}

func (h *heldJobs) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.items)
}

func (h *heldJobs) running(i *item) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return i.cancel != nil
}

// started remembers how to stop a job that runs now.
func (h *heldJobs) started(i *item, cancel context.CancelCauseFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i.cancel = cancel
	if h.stopped != nil {
		cancel(h.stopped)
	}
}

// stop stops all runs, those that start later as well.
func (h *heldJobs) stop(cause error) {
	h.mu.Lock()
	h.stopped = cause
	h.mu.Unlock()
	h.cancel(func(*item) bool { return true }, cause)
}

// cancel stops the runs that match.
func (h *heldJobs) cancel(match func(*item) bool, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.items {
		if i.cancel != nil && match(i) {
			i.cancel(cause)
		}
	}
}

// snapshot lists the jobs whose leases to renew, and the messages whose claims have no
// answer yet.
func (h *heldJobs) snapshot() (leased []*item, unclaimed map[*delivery]struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	unclaimed = map[*delivery]struct{}{}
	for i := range h.items {
		switch {
		case i.cancel != nil:
			leased = append(leased, i)
		case !i.settled.Load():
			unclaimed[i.delivery] = struct{}{}
		}
	}
	return leased, unclaimed
}
