package suite

import (
	"context"
	"fmt"
	"time"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/rest"
)

// access measures what it costs to know who asks: many at once, which shows what
// the audit of good requests costs, and one at a time in turn with a request
// that needs no key.
func (r *REST) access(ctx context.Context) error {
	many := rest.New(r.addr, r.key, healthConnections)
	defer many.Close()
	err := r.measured(figure.AccessRate, func() (pace.Result, error) {
		return pace.Timed(ctx, healthConnections, r.opts.Phase, func(context.Context, int, int) (int, error) { return 1, many.WhoAmI() })
	})
	if err != nil {
		return err
	}
	client := rest.New(r.addr, r.key, 1)
	defer client.Close()
	var open, key, cost pace.Latencies
	for i := range 4 * r.opts.IdleJobs {
		if err := pace.Pause(ctx, time.Millisecond); err != nil {
			return err
		}
		without, err := took(client.Healthy)
		if err != nil {
			return fmt.Errorf("request %d without a key: %w", i, err)
		}
		with, err := took(client.WhoAmI)
		if err != nil {
			return fmt.Errorf("request %d with a key: %w", i, err)
		}
		open.Add(without)
		key.Add(with)
		cost.Add(with - without)
	}
	r.sheet.PutLatencies(figure.AccessOpen, &open)
	r.sheet.PutLatencies(figure.AccessKey, &key)
	r.sheet.PutLatencies(figure.AccessCost, &cost)
	return nil
}

func took(request func() error) (time.Duration, error) {
	start := time.Now()
	err := request()
	return time.Since(start), err
}
