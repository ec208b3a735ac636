package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

const (
	fetchWait      = 20 * time.Second
	fetchHeartbeat = 5 * time.Second
	// claimTimeout bounds one request to the jobs service.
	claimTimeout = 4 * time.Second
)

// fetchUntil takes run messages until ctx ends, only as many as there is room
// for.
func (w *Worker) fetchUntil(ctx context.Context) {
	for _, l := range w.lanes.all {
		w.working.Go(func() { w.watch(ctx, l) })
	}
	for {
		n, unit := w.slots.reserve(ctx, w.wanted)
		if n == 0 {
			return
		}
		shares := w.lanes.split(n)
		w.working.Go(func() { w.slots.fetched(w.fetch(ctx, shares, n, unit) * unit) })
	}
}

// wanted reports whether another fetch may bring a job to run.
func (w *Worker) wanted() bool { return w.limit.open() && w.lanes.stocked() }

// fetch takes what is there of up to n messages, for which unit slots each are
// reserved, and returns how many did not come.
func (w *Worker) fetch(ctx context.Context, shares []share, n, unit int) (unused int) {
	var came atomic.Int64
	var fetches sync.WaitGroup
	for _, s := range shares {
		fetches.Go(func() {
			got, err := w.fetchLane(ctx, s, unit)
			came.Add(int64(got))
			if err != nil {
				// The watch that follows tells when it lasts.
				w.log.Debug().Err(err).Str("consumer", s.lane.durable).Msg("a fetch came to nothing")
			}
			if got < s.messages {
				w.lanes.drained(s.lane)
			}
		})
	}
	fetches.Wait()
	return n - int(came.Load())
}

func (w *Worker) fetchLane(ctx context.Context, s share, unit int) (came int, err error) {
	cons, err := s.lane.open(ctx, w.deps.JS)
	if err != nil {
		return 0, err
	}
	got, err := cons.FetchNoWait(s.messages)
	if err != nil {
		return 0, fmt.Errorf("fetch: %w", err)
	}
	for msg := range got.Messages() {
		came++
		w.receive(ctx, msg, unit)
	}
	if err := got.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
		return came, fmt.Errorf("fetch: %w", err)
	}
	return came, nil
}

// watch waits for the next message of a lane whenever the lane is empty. A lane
// whose consumer is missing is waited for: whoever looks after the broker makes it
// again.
func (w *Worker) watch(ctx context.Context, l *lane) {
	for {
		select {
		case <-l.empty:
		case <-ctx.Done():
			return
		}
		for lost := false; ; {
			err := w.awaitMore(ctx, l)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				break
			}
			if !lost {
				w.log.Warn().Err(err).Str("consumer", l.durable).Msg("fetching runs was interrupted; trying again")
			}
			lost = true
			wait(ctx, time.Second)
		}
		w.lanes.fill(l)
		w.slots.notify()
	}
}

// awaitMore takes the messages of a lane one by one as they come, until there are
// more behind one, or one comes that there is no room for. No slot is reserved
// while it waits: a worker with few slots could not keep one for each lane. What
// there is no room for goes straight back to the broker for another worker, and
// this one asks again when it has room.
//
// Each message is asked for by itself: the client's iterator, asked for one at a
// time, can forget to ask when the answer is quicker than its own bookkeeping.
func (w *Worker) awaitMore(ctx context.Context, l *lane) error {
	cons, err := l.open(ctx, w.deps.JS)
	if err != nil {
		return err
	}
	for {
		msg, err := next(ctx, cons)
		switch {
		case err != nil:
			return err
		case msg == nil:
			continue
		case !w.limit.open() || !w.slots.take():
			if err := msg.Nak(); err != nil {
				return fmt.Errorf("give a run message back: %w", err)
			}
			return nil
		}
		w.receive(ctx, msg, 1)
		if meta, err := msg.Metadata(); err != nil || meta.NumPending > 0 {
			return nil
		}
	}
}

// next waits for one message; there is none when it waited long enough.
func next(ctx context.Context, cons jetstream.Consumer) (jetstream.Msg, error) {
	fetchCtx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	got, err := cons.Fetch(1, jetstream.FetchContext(fetchCtx), jetstream.FetchHeartbeat(fetchHeartbeat))
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	if msg, ok := <-got.Messages(); ok {
		return msg, nil
	}
	if err := got.Error(); err != nil && fetchCtx.Err() == nil && !errors.Is(err, nats.ErrTimeout) {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	return nil, ctx.Err()
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (w *Worker) receive(ctx context.Context, msg jetstream.Msg, unit int) {
	var run contract.RunMessage
	err := fault.Guard(func() error { return contract.Decode(msg.Data(), &run) })
	if err != nil || len(run.JobIDs) == 0 {
		w.log.Error().Err(err).Str(telemetry.FieldSubject, msg.Subject()).Msg("a run message is unreadable; its jobs will be sent again by the sweeper")
		if err := msg.TermWithReason("unreadable run message"); err != nil {
			w.log.Warn().Err(err).Msg("could not drop an unreadable run message")
		}
		w.slots.arrived(unit, 0)
		return
	}
	d := &delivery{msg: msg}
	trace := telemetry.TraceParent(telemetry.FromHeader(context.WithoutCancel(ctx), msg.Headers()))
	d.left.Store(int32(len(run.JobIDs)))
	w.slots.arrived(unit, len(run.JobIDs))
	for _, id := range run.JobIDs {
		i := newItem(id, trace, d)
		w.held.add(i)
		w.working.Add(1)
		if i.counted = w.limit.take(); !i.counted {
			w.letGo(i, true)
			continue
		}
		if err := w.claims.Add(context.WithoutCancel(ctx), i); err != nil {
			w.letGo(i, true)
		}
	}
}

// settle ends an item's part of its message, once.
func (w *Worker) settle(i *item, again bool) {
	if i.settled.Swap(true) {
		return
	}
	if err := i.delivery.settle(again); err != nil {
		w.log.Warn().Err(err).Str(telemetry.FieldJobID, i.jobID).Msg("could not acknowledge a run message; it will come again and find the job taken")
	}
}

// letGo ends the worker's interest in a job that is not running here. again asks for
// the message of a job that was not claimed once more.
func (w *Worker) letGo(i *item, again bool) {
	w.held.remove(i)
	w.settle(i, again)
	if i.counted {
		w.limit.settle(i.ran)
	}
	w.freeSlot(i)
	w.slots.notify()
	w.working.Done()
}

// freeSlot gives back the slot of an item, once.
func (w *Worker) freeSlot(i *item) {
	if !i.freed.Swap(true) {
		w.slots.release(1)
	}
}

// claim asks the jobs service for the right to run a group of jobs.
func (w *Worker) claim(ctx context.Context, items []*item) {
	waiting := make(map[string]*item, len(items))
	req := contract.ClaimRequest{Worker: w.cfg.Name, Claims: make([]contract.LeaseRef, 0, len(items))}
	for _, i := range items {
		if waiting[i.jobID] != nil {
			// Two messages for one job: the second learns its fate in a claim
			// of its own.
			w.claimAgain(ctx, i)
			continue
		}
		waiting[i.jobID] = i
		req.Claims = append(req.Claims, i.ref())
	}
	reply, err := w.askClaim(telemetry.WithTraceParent(ctx, items[0].trace), req)
	if err != nil {
		w.log.Warn().Err(err).Int("jobs", len(waiting)).Msg("could not claim jobs; their messages will come again")
		for _, i := range waiting {
			w.letGo(i, true)
		}
		return
	}
	for _, g := range reply.Granted {
		if i := waiting[g.JobID]; i != nil {
			delete(waiting, g.JobID)
			i.grant = g
			w.settle(i, false)
			w.start(ctx, i)
		}
	}
	for _, id := range reply.Refused {
		if i := waiting[id]; i != nil {
			delete(waiting, id)
			w.letGo(i, false)
		}
	}
	// The rest did not fit into one answer.
	for _, i := range waiting {
		w.claimAgain(ctx, i)
	}
}

// claimAgain queues a claim once more without blocking the batcher that may
// be calling.
func (w *Worker) claimAgain(ctx context.Context, i *item) {
	go func() {
		if err := w.claims.Add(ctx, i); err != nil {
			w.letGo(i, true)
		}
	}()
}

// askClaim repeats a claim with its token for as long as the jobs service is away:
// it may have been granted and the answer lost, and then nobody else can run the job.
func (w *Worker) askClaim(ctx context.Context, req contract.ClaimRequest) (contract.ClaimReply, error) {
	return insist(w.stopping, claimTries, func() (contract.ClaimReply, error) {
		callCtx, cancel := context.WithTimeout(ctx, claimTimeout)
		defer cancel()
		return bus.Call[contract.ClaimReply](callCtx, w.deps.NC, contract.RPCJobsClaim, req)
	}, func(err error) {
		w.log.Warn().Err(err).Int("jobs", len(req.Claims)).Msg("could not claim jobs; trying again until the jobs service answers")
	})
}
