package suite

import (
	"context"
	"errors"
	"fmt"

	"nexus.internal/bench/internal/figure"
)

// full measures some things again with many finished jobs in the tables. They stay
// there.
func (n *Nexus) full(ctx context.Context) error {
	if n.opts.Finished == 0 {
		return nil
	}
	if err := n.clear(ctx); err != nil {
		return err
	}
	fmt.Fprintf(n.progress, "  filling the tables with %d finished jobs\n", n.opts.Finished)
	if err := n.db.Fill(ctx, n.opts.Finished); err != nil {
		return err
	}
	n.sheet.Put(figure.FullRows, float64(n.opts.Finished))
	if err := n.pauseWorkers(ctx); err != nil {
		return err
	}
	if err := n.submits(ctx, figure.FullSubmitREST256, many); err != nil {
		return err
	}
	if _, err := n.drainAs(ctx, figure.FullDrain); err != nil {
		return err
	}
	if err := errors.Join(n.published(ctx), n.audited(ctx), n.tally(ctx, int64(n.opts.Jobs))); err != nil {
		return err
	}
	return n.togetherREST(ctx, submitPhase{figure.FullTogetherREST256, many})
}
