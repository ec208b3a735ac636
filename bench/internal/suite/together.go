package suite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"nexus.internal/bench/internal/events"
	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/resource"
	"nexus.internal/bench/internal/rest"
	"nexus.internal/libs/contract"
)

// outstanding is how many jobs there are at once between those who submit and
// the reader who sees them done.
const outstanding = 5000

// source is how jobs come in while others run.
type source struct {
	name      string
	producers int
	// batch is how many jobs a submit holds.
	batch int
	// submit returns how many jobs it has committed.
	submit func(ctx context.Context, producer, turn int) (int, error)
	// memory asks for the figures of memory.
	memory bool
}

// together measures jobs that come in and are run at once.
func (n *Nexus) together(ctx context.Context) error {
	for _, s := range []submitPhase{{figure.TogetherREST16, producers}, {figure.TogetherREST256, many}} {
		if err := n.togetherREST(ctx, s); err != nil {
			return err
		}
	}
	if err := n.togetherBatches(ctx); err != nil {
		return err
	}
	return n.flow(ctx, source{
		name: figure.TogetherCommands, producers: producers, batch: contract.MaxSubmissions,
		submit: func(ctx context.Context, producer, turn int) (int, error) {
			return n.command(ctx, contract.MaxSubmissions, producer+turn)
		},
	})
}

// many producers submit at once where they do so one at a time.
const many = 256

func (n *Nexus) togetherREST(ctx context.Context, s submitPhase) error {
	client := rest.New(n.addr, n.key, s.connections)
	defer client.Close()
	return n.flow(ctx, source{
		name: s.name, producers: s.connections, batch: 1, memory: s.name == figure.TogetherREST256,
		submit: func(ctx context.Context, producer, turn int) (int, error) {
			return n.submit(ctx, client, producer+turn)
		},
	})
}

// batchTogether is how many jobs a batch over REST has while others run.
const batchTogether = 100

func (n *Nexus) togetherBatches(ctx context.Context) error {
	client := rest.New(n.addr, n.key, producers)
	defer client.Close()
	bodies := n.batches(batchTogether)
	return n.flow(ctx, source{
		name: figure.TogetherBatch100, producers: producers, batch: batchTogether,
		submit: func(ctx context.Context, producer, turn int) (int, error) {
			return n.batch(ctx, client, bodies[(producer+turn)%len(bodies)])
		},
	})
}

// flow lets jobs in from a source for a time. What counts are the jobs that a
// reader saw done in that time.
func (n *Nexus) flow(ctx context.Context, s source) (err error) {
	if err := n.clear(ctx); err != nil {
		return err
	}
	gate := pace.NewGate(outstanding)
	var done atomic.Int64
	stop, err := events.Count(n.nc, contract.StatusSucceeded, func(jobs int) {
		done.Add(int64(jobs))
		gate.Leave(jobs)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	window, closeWindow := context.WithCancel(ctx)
	defer closeWindow()
	in := newInflow(ctx, window, gate, s)
	peak := resource.PeakResident(window, n.server.PID)
	err = n.measured(s.name, func() (pace.Result, error) {
		start := time.Now()
		err := in.during(ctx, n.opts.Together)
		return pace.Result{N: done.Load(), Took: time.Since(start)}, err
	})
	if s.memory {
		n.sheet.Put(figure.MemoryOwn, mebibytes(resource.MemoryOf(n.server.PID).Proportional))
	}
	closeWindow()
	confirmed, endErr := in.end()
	if s.memory {
		n.sheet.Put(figure.MemoryPeak, mebibytes(<-peak))
	}
	if err := errors.Join(err, endErr); err != nil {
		return err
	}
	return n.finishAll(ctx, confirmed)
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// inflow is the producers at work.
type inflow struct {
	working   sync.WaitGroup
	confirmed atomic.Int64
	// failed holds the first error.
	failed chan error
}

// newInflow starts the producers. They take on new jobs until window ends; what
// they have begun by then they finish.
func newInflow(ctx, window context.Context, gate *pace.Gate, s source) *inflow {
	in := &inflow{failed: make(chan error, 1)}
	for p := range s.producers {
		in.working.Go(func() {
			for turn := 0; gate.Enter(window, s.batch); turn++ {
				jobs, err := s.submit(ctx, p, turn)
				in.confirmed.Add(int64(jobs))
				gate.Leave(s.batch - jobs)
				if err != nil {
					select {
					case in.failed <- err:
					default:
					}
					return
				}
			}
		})
	}
	return in
}

// during waits for a time, or for the first error.
func (in *inflow) during(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-in.failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end waits for the producers and returns how many jobs they have committed.
func (in *inflow) end() (confirmed int64, err error) {
	in.working.Wait()
	select {
	case err = <-in.failed:
	default:
	}
	return in.confirmed.Load(), err
}

// finishAll waits until the last jobs have ended and takes down what became of
// them. Jobs that never end are a figure and no error.
func (n *Nexus) finishAll(ctx context.Context, confirmed int64) error {
	err := pace.Until(ctx, "the last jobs are finished", settleEvery, settleWithin, func(ctx context.Context) (bool, error) {
		t, err := n.db.Tally(ctx)
		return t.Jobs == t.Succeeded, err
	})
	if err != nil && ctx.Err() != nil {
		return err
	}
	return n.tally(ctx, confirmed)
}
