package platform

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/run"
	"nexus.internal/libs/worker"
	"nexus.internal/services/corpus"
	"nexus.internal/services/plugins"
)

// Workers say what a process runs that has handlers only.
type Workers struct {
	// Queues are the queues served, of Queues().
	Queues []string
	// Concurrency is how many jobs of one queue run at once; 0 leaves it to the
	// settings of the services.
	Concurrency int
	// MaxJobs ends the process after so many jobs; 0 never does.
	MaxJobs int
	// Once ends the process after one job, or soon when none waits.
	Once bool

	limit *worker.Limit
	stop  context.CancelFunc
}

// onceWait is how long a worker that is to run one job looks for it.
const onceWait = 2 * time.Second

// Queues lists the queues that have workers apart from their services. Each
// is named after the service that owns its handlers, acts as that service on
// NATS and in Postgres, and may do no more.
func Queues() []string { return []string{contract.QueueCorpus, contract.QueuePlugins} }

// RunWorkers runs jobs until ctx ends or as many as asked for have been run,
// and returns how many that were; without a bound it is 0.
func RunWorkers(ctx context.Context, opts Options, w Workers) (processed int, err error) {
	for _, q := range w.Queues {
		if !slices.Contains(Queues(), q) {
			return 0, fmt.Errorf("there is no queue %q: want some of %v", q, Queues())
		}
	}
	if w.Once {
		w.MaxJobs = 1
	}
	ctx, w.stop = context.WithCancel(ctx)
	defer w.stop()
	if w.MaxJobs > 0 {
		w.limit = worker.NewLimit(w.MaxJobs)
	}
	opts.Services, opts.Embedded, opts.workers = w.Queues, false, &w
	err = Run(ctx, opts)
	if w.limit != nil {
		processed = w.limit.Processed()
	}
	return processed, err
}

// workerFor makes the worker of one queue.
func (p *process) workerFor(ctx context.Context, queue string, b *base) ([]run.Component, error) {
	cfg, want := p.opts.Config, p.opts.workers
	var w *worker.Worker
	var beside []run.Component
	var err error
	switch queue {
	case contract.QueueCorpus:
		cfg.Corpus.WorkerConcurrency = want.concurrency(cfg.Corpus.WorkerConcurrency)
		w, err = corpus.NewWorker(ctx, cfg.Corpus, corpus.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics, Worker: p.worker})
	case contract.QueuePlugins:
		cfg.Plugins.WorkerConcurrency = want.concurrency(cfg.Plugins.WorkerConcurrency)
		w, beside, err = plugins.NewWorker(cfg.Plugins, plugins.Deps{NC: b.nc, JS: b.js, DB: b.db, Log: b.log, Tracer: b.tracer, Metrics: b.metrics, Worker: p.worker})
	default:
		return nil, fmt.Errorf("there is no queue %q", queue)
	}
	if err != nil {
		return nil, fmt.Errorf("start the %s worker: %w", queue, err)
	}
	p.ops.add(check{queue, b.health(b.db.Ping)})
	w.LimitTo(want.limit)
	return append(beside, w), nil
}

// limitOfWait is how long a wait for servers may last: a worker that ends when no
// job waits does not wait for ever for a server either.
func (w *Workers) limitOfWait(cfg Config) time.Duration {
	if w != nil && w.Once {
		return cfg.commandWait()
	}
	return 0
}

// concurrency is never more than the jobs that may run in all: what is fetched
// above that would only go back.
func (w *Workers) concurrency(setting int) int {
	n := setting
	if w.Concurrency > 0 {
		n = w.Concurrency
	}
	if w.MaxJobs > 0 {
		n = min(n, w.MaxJobs)
	}
	return n
}

// end stops the process when it has run what it was asked to. It starts last,
// so the wait for a job begins when the workers are ready.
func (w *Workers) end() run.Component {
	return run.Func("end of the workers", func(ctx context.Context, ready func()) error {
		ready()
		if w.limit != nil {
			w.await(ctx)
			w.stop()
		}
		<-ctx.Done()
		return nil
	})
}

func (w *Workers) await(ctx context.Context) {
	var idle <-chan time.Time
	if w.Once {
		t := time.NewTicker(onceWait)
		defer t.Stop()
		idle = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.limit.Done():
			return
		case <-idle:
			if w.limit.Idle() {
				return
			}
		}
	}
}
