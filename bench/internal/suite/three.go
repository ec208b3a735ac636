package suite

import (
	"context"
	"errors"

	"nexus.internal/bench/internal/figure"
)

// others is how many processes join the first one.
const others = 2

// three measures with two more processes of the jobs service and its workers, each
// with as many workers as the first.
func (n *Nexus) three(ctx context.Context) (err error) {
	stop, err := n.server.Join(ctx, "jobs", others)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if _, err := n.drainAs(ctx, figure.ThreeDrain); err != nil {
		return err
	}
	if err := errors.Join(n.published(ctx), n.audited(ctx), n.tally(ctx, int64(n.opts.Jobs))); err != nil {
		return err
	}
	share, err := n.db.LeastShare(ctx, others+1)
	if err != nil {
		return err
	}
	n.sheet.Put(figure.ThreeShared, share)
	return n.togetherREST(ctx, submitPhase{figure.ThreeTogetherREST256, many})
}
