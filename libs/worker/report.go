package worker

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// reportTries bounds how often results are reported again that the jobs service
// does not want. After that the leases run out and the jobs are recovered, which
// costs them an attempt but loses nothing. A jobs service that is away is waited
// for, as long as the worker lives.
const reportTries = 60

// report tells the jobs service how a group of runs ended.
func (w *Worker) report(ctx context.Context, items []*item) {
	small, large := items[:0:0], items[:0:0]
	for _, i := range items {
		if isLarge(i.result) {
			large = append(large, i)
		} else {
			small = append(small, i)
		}
	}
	if len(small) > 0 {
		w.reportTo(ctx, contract.RPCJobsFinish, claimTimeout, small)
	}
	for k := range large {
		w.reportTo(ctx, contract.RPCJobsFinishLarge, largeTimeout, large[k:k+1])
	}
}

// largeTimeout bounds a report of one large result, which the jobs service looks
// through before it records it.
const largeTimeout = 30 * time.Second

func (w *Worker) reportTo(ctx context.Context, subject string, timeout time.Duration, items []*item) {
	req := contract.FinishRequest{Worker: w.cfg.Name, Results: make([]contract.RunResult, len(items))}
	for k, i := range items {
		req.Results[k] = i.result
	}
	reply, err := w.askFinish(telemetry.WithTraceParent(ctx, items[0].result.TraceParent), subject, timeout, req)
	if err != nil {
		w.log.Error().Err(err).Int("jobs", len(items)).Msg("could not report results; the leases will run out and the jobs run again")
	}
	for k, i := range items {
		if err == nil && k < len(reply.Verdicts) && !reply.Verdicts[k].Accepted {
			ofRun(w.log.Warn(), i.grant).Str("status", string(reply.Verdicts[k].Status)).
				Msg("a result was refused: the job is no longer this worker's")
		}
		w.letGo(i, err != nil)
	}
}

func (w *Worker) askFinish(ctx context.Context, subject string, timeout time.Duration, req contract.FinishRequest) (contract.FinishReply, error) {
	return insist(w.left, reportTries, func() (contract.FinishReply, error) {
		callCtx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return bus.Call[contract.FinishReply](callCtx, w.deps.NC, subject, req)
	}, func(err error) {
		w.log.Warn().Err(err).Int("jobs", len(req.Results)).Msg("could not report results; trying again until the jobs service answers")
	})
}

const (
	// firstPause grows with each try up to lastPause.
	firstPause = 100 * time.Millisecond
	lastPause  = time.Second
	// claimTries is how often a request to the jobs service is made before somebody
	// is told.
	claimTries = 3
)

// insist asks until there is an answer. What is unavailable it asks for until end is
// closed, all else the given number of times. It calls waiting once it has to wait
// for longer.
func insist[T any](end <-chan struct{}, tries int, ask func() (T, error), waiting func(error)) (T, error) {
	for try := 1; ; try++ {
		answer, err := ask()
		if err == nil {
			return answer, nil
		}
		over := try >= tries && fault.KindOf(err) != fault.Unavailable
		select {
		case <-end:
			over = over || try >= claimTries
		default:
		}
		if over {
			return answer, err
		}
		if try == claimTries {
			waiting(err)
		}
		pause := time.NewTimer(min(time.Duration(try)*firstPause, lastPause))
		<-pause.C
	}
}

// supervise keeps leases alive while handlers work, every third of a lease, passes their progress on, and stops runs whose lease is gone.
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
	leased, unclaimed := w.held.snapshot()
	for d := range unclaimed {
		// The jobs service is away. Delivered again, the message would only wait twice.
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
