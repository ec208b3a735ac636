// Package jobhook finds where the events of single jobs are to be posted. The
// jobs service knows; what it said is remembered, for it never changes.
package jobhook

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

// maxRemembered bounds the memory of answers.
const maxRemembered = 10_000

// Hooks asks for the hooks of jobs.
type Hooks struct {
	nc *nats.Conn

	mu sync.Mutex
	// known has nil for a job that is gone.
	known map[string]*contract.JobWebhook
}

// New makes one that asks on a connection.
func New(nc *nats.Conn) *Hooks { return &Hooks{nc: nc, known: map[string]*contract.JobWebhook{}} }

// Of are the hooks of jobs. A job that is gone, or has none, is left out.
func (h *Hooks) Of(ctx context.Context, jobs []string) (map[string]contract.JobWebhook, error) {
	out, unknown := h.recall(jobs)
	for len(unknown) > 0 {
		n := min(len(unknown), contract.MaxJobWebhooks)
		reply, err := bus.Call[contract.JobWebhooksReply](ctx, h.nc, contract.RPCJobsWebhooks, contract.JobWebhooksRequest{JobIDs: unknown[:n]})
		if err != nil {
			return nil, fmt.Errorf("ask for the webhooks of jobs: %w", err)
		}
		h.remember(unknown[:n], reply.Webhooks)
		for id, hook := range reply.Webhooks {
			out[id] = hook
		}
		unknown = unknown[n:]
	}
	return out, nil
}

func (h *Hooks) recall(jobs []string) (known map[string]contract.JobWebhook, unknown []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known = map[string]contract.JobWebhook{}
	asked := map[string]bool{}
	for _, id := range jobs {
		hook, ok := h.known[id]
		switch {
		case !ok && !asked[id]:
			asked[id] = true
			unknown = append(unknown, id)
		case ok && hook != nil:
			known[id] = *hook
		}
	}
	return known, unknown
}

func (h *Hooks) remember(jobs []string, hooks map[string]contract.JobWebhook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known)+len(jobs) > maxRemembered {
		clear(h.known)
	}
	for _, id := range jobs {
		h.known[id] = nil
		if hook, ok := hooks[id]; ok {
			h.known[id] = &hook
		}
	}
}
