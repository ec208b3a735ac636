package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/contract"
)

type queueInput struct {
	Name string `path:"name" maxLength:"64" doc:"The name of the queue."`
}

func (s *Server) pauseQueue(paused bool) func(context.Context, *queueInput) (*body[contract.Queue], error) {
	return func(ctx context.Context, in *queueInput) (*body[contract.Queue], error) {
		caller, err := callerOf(ctx)
		if err != nil {
			return nil, err
		}
		return ask[contract.Queue](ctx, s, contract.RPCJobsPause, contract.PauseQueueRequest{
			Queue: in.Name, Paused: paused, Actor: caller.Owner, RequestID: requestIDOf(ctx),
		})
	}
}

func (s *Server) queueRoutes() {
	const tag = "Queues and workers"
	register(s, route{method: http.MethodGet, path: "/api/v1/queues", id: "list-queues", summary: "List the queues with what is in them", tag: tag},
		func(ctx context.Context, _ *none) (*body[contract.QueuesReply], error) {
			return ask[contract.QueuesReply](ctx, s, contract.RPCJobsQueues, none{})
		})
	missing := []int{http.StatusNotFound}
	register(s, route{
		method: http.MethodPost, path: "/api/v1/queues/{name}/pause", id: "pause-queue", summary: "Let no job of a queue start", tag: tag, errors: missing,
	}, s.pauseQueue(true))
	register(s, route{
		method: http.MethodPost, path: "/api/v1/queues/{name}/resume", id: "resume-queue", summary: "Let the jobs of a queue start again", tag: tag, errors: missing,
	}, s.pauseQueue(false))
	register(s, route{method: http.MethodGet, path: "/api/v1/workers", id: "list-workers", summary: "List the workers", tag: tag},
		func(ctx context.Context, _ *none) (*body[contract.WorkersReply], error) {
			return ask[contract.WorkersReply](ctx, s, contract.RPCJobsWorkers, none{})
		})
}
