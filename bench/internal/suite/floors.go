package suite

import (
	"context"
	"errors"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/floor"
	"nexus.internal/bench/internal/pace"
)

// batchConnections write batches at once in the floor of batched inserts.
const batchConnections = 4

// floors measures the servers of the run without the platform.
func (n *Nexus) floors(ctx context.Context) error {
	if err := n.postgresFloors(ctx); err != nil {
		return err
	}
	return n.jetStreamFloors(ctx)
}

func (n *Nexus) postgresFloors(ctx context.Context) (err error) {
	payloads := make([]string, len(n.payloads))
	for i, p := range n.payloads {
		payloads[i] = string(p)
	}
	f, err := floor.NewPostgres(ctx, n.db.Pool, payloads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(context.WithoutCancel(ctx))) }()
	var commits *pace.Latencies
	err = n.measured(figure.FloorInsert1, func() (result pace.Result, err error) {
		result, commits, err = f.Insert(ctx, 1, n.opts.Phase)
		return result, err
	})
	if err != nil {
		return err
	}
	n.sheet.PutLatencies(figure.FloorInsert1, commits)
	err = n.measured(figure.FloorInsert16, func() (result pace.Result, err error) {
		result, _, err = f.Insert(ctx, producers, n.opts.Phase)
		return result, err
	})
	if err != nil {
		return err
	}
	return n.measured(figure.FloorInsertBatch, func() (pace.Result, error) { return f.InsertBatch(ctx, batchConnections, n.opts.Phase) })
}

func (n *Nexus) jetStreamFloors(ctx context.Context) (err error) {
	payloads := make([][]byte, len(n.payloads))
	for i, p := range n.payloads {
		payloads[i] = p
	}
	f, err := floor.NewJetStream(ctx, n.js, payloads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(context.WithoutCancel(ctx))) }()
	err = n.measured(figure.FloorPublishSync, func() (pace.Result, error) { return f.Publish(ctx, producers, n.opts.Phase) })
	if err != nil {
		return err
	}
	return n.measured(figure.FloorPublishAsync, func() (pace.Result, error) { return f.PublishAsync(ctx, n.opts.Phase) })
}
