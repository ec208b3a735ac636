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
// of a lease, and stops runs whose lease is gone.
func (w *Worker) supervise(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Lease / 3)
	defer tick.Stop()
	w.heartbeat(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.heartbeat(ctx)
		}
	}
}

func (w *Worker) heartbeat(ctx context.Context) {
	leases, messages := w.held.snapshot()
	for _, d := range messages {
		if err := d.msg.InProgress(); err != nil {
			w.log.Warn().Err(err).Msg("could not keep a run message alive")
		}
	}
	req := contract.HeartbeatRequest{Worker: w.cfg.Name, Queue: w.cfg.Queue, JobTypes: w.jobTypes(), InFlight: len(leases)}
	for first := true; first || len(leases) > 0; first = false {
		n := min(len(leases), contract.MaxBatch)
		req.Leases, leases = leases[:n], leases[n:]
		callCtx, cancel := context.WithTimeout(ctx, w.cfg.Lease/3)
		reply, err := bus.Call[contract.HeartbeatReply](callCtx, w.deps.NC, contract.RPCJobsHeartbeat, req)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				w.log.Warn().Err(err).Msg("could not renew leases")
			}
			return
		}
		for _, token := range reply.Lost {
			w.held.cancel(func(i *item) bool { return i.token == token }, errLeaseLost)
		}
	}
}

func (w *Worker) onCancel(msg *nats.Msg) {
	jobID := strings.TrimPrefix(msg.Subject, strings.TrimSuffix(contract.PatternCancel, "*"))
	w.held.cancel(func(i *item) bool { return i.jobID == jobID }, errCancelled)
}
