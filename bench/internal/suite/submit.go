package suite

import (
	"context"
	"encoding/json"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
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
	return n.resumeWorkers(ctx)
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
