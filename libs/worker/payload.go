package worker

import (
	"context"
	"encoding/json"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

// payload is the payload of a grant, fetched where it is too large to travel
// with it.
func (w *Worker) payload(ctx context.Context, g contract.Grant) (json.RawMessage, error) {
	if g.PayloadBytes == 0 {
		return g.Payload, nil
	}
	return contract.FetchPayload(g.PayloadBytes, func(offset int) (contract.PayloadReply, error) {
		return bus.Call[contract.PayloadReply](ctx, w.deps.NC, contract.RPCJobsPayload, contract.PayloadRequest{JobID: g.JobID, Offset: offset})
	})
}
