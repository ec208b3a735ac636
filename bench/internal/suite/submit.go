package suite

import (
	"context"
	"encoding/json"
	"errors"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/rest"
	"nexus.internal/libs/contract"
)

// submitting measures how fast jobs are taken while none runs.
func (n *Nexus) submitting(ctx context.Context) error {
	if err := n.pauseWorkers(ctx); err != nil {
		return err
	}
	for _, s := range submits() {
		if err := n.clear(ctx); err != nil {
			return err
		}
		if err := n.submits(ctx, s.name, s.connections); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		name string
		jobs int
	}{{figure.SubmitCommands1, 1}, {figure.SubmitCommands64, contract.MaxSubmissions}} {
		if err := n.clear(ctx); err != nil {
			return err
		}
		err := n.measured(s.name, func() (pace.Result, error) {
			return pace.Timed(ctx, producers, n.opts.Phase, func(ctx context.Context, goroutine, turn int) (int, error) {
				return n.command(ctx, s.jobs, goroutine+turn)
			})
		})
		if err != nil {
			return err
		}
	}
	if err := n.clear(ctx); err != nil {
		return err
	}
	if err := n.submitBatches(ctx); err != nil {
		return err
	}
	if err := n.clear(ctx); err != nil {
		return err
	}
	return n.resumeWorkers(ctx)
}

// batchOf is how many jobs a batch over REST has while none runs.
const batchOf = 500

func (n *Nexus) submitBatches(ctx context.Context) error {
	client := rest.New(n.addr, n.key, producers)
	defer client.Close()
	bodies := n.batches(batchOf)
	return n.measured(figure.SubmitBatch500, func() (pace.Result, error) {
		return pace.Timed(ctx, producers, n.opts.Phase, func(ctx context.Context, goroutine, turn int) (int, error) {
			return n.batch(ctx, client, bodies[(goroutine+turn)%len(bodies)])
		})
	})
}

// batches are bodies of batches that differ.
func (n *Nexus) batches(of int) [][]byte {
	bodies := make([][]byte, producers)
	for i := range bodies {
		bodies[i] = rest.BatchBody(n.some(of, i))
	}
	return bodies
}

// batch submits a batch and returns how many of its jobs are committed by that.
func (n *Nexus) batch(ctx context.Context, client *rest.Client, body []byte) (int, error) {
	out, err := client.SubmitBatch(body)
	if errors.Is(err, rest.ErrRefused) {
		n.refused.Add(1)
		return 0, pace.Pause(ctx, afterRefusal)
	}
	if err != nil {
		return 0, err
	}
	confirmed := 0
	for _, job := range out {
		if job.Confirmed() {
			confirmed++
		}
	}
	n.unconfirmed.Add(int64(len(out) - confirmed))
	return confirmed, nil
}

// command submits jobs in one command and returns how many are committed.
func (n *Nexus) command(ctx context.Context, jobs, i int) (int, error) {
	if err := n.commands.Submit(ctx, n.some(jobs, i)); err != nil {
		return 0, err
	}
	return jobs, nil
}

// some are payloads, others for each i.
func (n *Nexus) some(jobs, i int) []json.RawMessage {
	out := make([]json.RawMessage, jobs)
	for k := range out {
		out[k] = n.payloads[(i*jobs+k)%len(n.payloads)]
	}
	return out
}
