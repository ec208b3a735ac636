package worker

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
)

// reportTries bounds how often results are reported again while the jobs
// service does not answer. After that the leases run out and the jobs are
// recovered, which costs them an attempt but loses nothing.
const reportTries = 60

// report tells the jobs service how a group of runs ended.
func (w *Worker) report(ctx context.Context, items []*item) {
	req := contract.FinishRequest{Worker: w.cfg.Name, Results: make([]contract.RunResult, len(items))}
	for k, i := range items {
		req.Results[k] = i.result
	}
	reply, err := w.askFinish(telemetry.WithTraceParent(ctx, items[0].result.TraceParent), req)
	if err != nil {
		w.log.Error().Err(err).Int("jobs", len(items)).Msg("could not report results; the leases will run out and the jobs run again")
	}
	for k, i := range items {
		if err == nil && k < len(reply.Verdicts) && !reply.Verdicts[k].Accepted {
			w.log.Warn().Str(telemetry.FieldJobID, i.jobID).Str("status", string(reply.Verdicts[k].Status)).
				Msg("a result was refused: the job is no longer this worker's")
		}
		w.letGo(i, err != nil)
	}
}

func (w *Worker) askFinish(ctx context.Context, req contract.FinishRequest) (contract.FinishReply, error) {
	var err error
	for try := range reportTries {
		var reply contract.FinishReply
		callCtx, cancel := context.WithTimeout(ctx, claimTimeout)
		reply, err = bus.Call[contract.FinishReply](callCtx, w.deps.NC, contract.RPCJobsFinish, req)
		cancel()
		if err == nil {
			return reply, nil
		}
		wait(ctx, min(time.Duration(try+1)*100*time.Millisecond, time.Second))
	}
	return contract.FinishReply{}, err
}

// supervise keeps leases and messages alive while handlers work, every third
// of a lease, passes their progress on, and stops runs whose lease is gone.
func (w *Worker) supervise(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Lease / 3)
	defer tick.Stop()
	// due fires when news that waits may be sent.
	due := time.NewTimer(0)
	defer due.Stop()
	<-due.C
	var told time.Time
	w.heartbeat(ctx, false)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.news:
			due.Reset(time.Until(told.Add(progressEvery)))
		case <-due.C:
			told = time.Now()
			w.heartbeat(ctx, true)
		case <-tick.C:
			w.heartbeat(ctx, false)
		}
	}
}

// heartbeat renews all leases, and takes the progress of the runs along where
// asked to.
func (w *Worker) heartbeat(ctx context.Context, progress bool) {
	leased, messages := w.held.snapshot()
	for _, d := range messages {
		if err := d.msg.InProgress(); err != nil {
			w.log.Warn().Err(err).Msg("could not keep a run message alive")
		}
	}
	req := contract.HeartbeatRequest{Worker: w.cfg.Name, Queue: w.cfg.Queue, JobTypes: w.jobTypes(), InFlight: len(leased)}
	for first := true; first || len(leased) > 0; first = false {
		n := min(len(leased), contract.MaxBatch)
		group := leased[:n]
		leased = leased[n:]
		if err := w.renew(ctx, req, group, progress); err != nil {
			if ctx.Err() == nil {
				w.log.Warn().Err(err).Msg("could not renew leases")
			}
			return
		}
	}
}

// renew sends one heartbeat for a group of jobs. Progress that did not arrive
// is kept for the next, unless there is newer by then.
func (w *Worker) renew(ctx context.Context, req contract.HeartbeatRequest, group []*item, progress bool) error {
	var said []*item
	for _, i := range group {
		req.Leases = append(req.Leases, i.ref())
		if !progress {
			continue
		}
		if p := i.progress.Swap(nil); p != nil {
			said, req.Progress = append(said, i), append(req.Progress, *p)
		}
	}
	callCtx, cancel := context.WithTimeout(ctx, w.cfg.Lease/3)
	defer cancel()
	reply, err := bus.Call[contract.HeartbeatReply](callCtx, w.deps.NC, contract.RPCJobsHeartbeat, req)
	if err != nil {
		for k, i := range said {
			if i.progress.CompareAndSwap(nil, &req.Progress[k]) {
				w.tell()
			}
		}
		return err
	}
	for _, token := range reply.Lost {
		w.held.cancel(func(i *item) bool { return i.token == token }, errLeaseLost)
	}
	return nil
}

func (w *Worker) onCancel(msg *nats.Msg) {
	jobID := strings.TrimPrefix(msg.Subject, strings.TrimSuffix(contract.PatternCancel, "*"))
	w.held.cancel(func(i *item) bool { return i.jobID == jobID }, errCancelled)
}
