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
	for name, connections := range map[string]int{figure.FloorInsert1: 1, figure.FloorInsert16: producers} {
		var latencies *pace.Latencies
		err := n.measured(name, func() (result pace.Result, err error) {
			result, latencies, err = f.Insert(ctx, connections, n.opts.Phase)
			return result, err
		})
		if err != nil {
			return err
		}
		if connections == 1 {
			n.sheet.PutLatencies(name, latencies)
		}
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
