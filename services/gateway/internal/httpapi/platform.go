package httpapi

import (
	"context"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
)

type statusBody struct {
	Status string `json:"status" enum:"ok" doc:"Always ok: whatever is not is an error."`
}

func (s *Server) healthz(context.Context, *none) (*body[statusBody], error) {
	return &body[statusBody]{Body: statusBody{Status: "ok"}}, nil
}

// readyWithin bounds how long the services may take to say that they can work.
const readyWithin = 2 * time.Second

// readyz asks every service this gateway needs; each asks its database.
func (s *Server) readyz(ctx context.Context, _ *none) (*body[statusBody], error) {
	if s.draining.Load() {
		return nil, fault.Unavailablef("The gateway is shutting down.")
	}
	if s.deps.NC.Status() != nats.CONNECTED {
		return nil, fault.Unavailablef("Not ready: NATS does not answer.")
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var mu sync.Mutex
	var missing []string
	var wg sync.WaitGroup
	for _, service := range []string{"auth", "jobs", "corpus", "plugins", "audit", "webhooks"} {
		wg.Go(func() {
			if _, err := bus.Call[struct{}](ctx, s.deps.NC, contract.RPCPing(service), struct{}{}); err != nil {
				mu.Lock()
				missing = append(missing, service+" ("+strings.TrimSuffix(fault.Public(err).Detail, ".")+")")
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(missing) > 0 {
		sort.Strings(missing)
		return nil, fault.Unavailablef("Not ready: %s.", strings.Join(missing, "; "))
	}
	return &body[statusBody]{Body: statusBody{Status: "ok"}}, nil
}

type whoamiBody struct {
	APIKeyID       string          `json:"api_key_id" format:"uuid"`
	Owner          string          `json:"owner"`
	Role           identity.Role   `json:"role" enum:"viewer,operator,researcher,admin"`
	RawModeEnabled bool            `json:"raw_mode_enabled"`
	AllowedModes   []identity.Mode `json:"allowed_modes" enum:"PUBLIC,RAW" doc:"The modes this key may use."`
}

func (s *Server) whoami(ctx context.Context, _ *none) (*body[whoamiBody], error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	modes, err := s.deps.Admission.Modes(ctx, caller)
	if err != nil {
		return nil, err
	}
	return &body[whoamiBody]{Body: whoamiBody{
		APIKeyID: caller.KeyID, Owner: caller.Owner, Role: caller.Role,
		RawModeEnabled: caller.RawModeEnabled, AllowedModes: modes,
	}}, nil
}

func (s *Server) platformRoutes() {
	register(s, route{method: http.MethodGet, path: "/healthz", id: "health", summary: "Is the process alive?", tag: "Platform"}, s.healthz)
	register(s, route{method: http.MethodGet, path: "/readyz", id: "ready", summary: "Can it serve?", tag: "Platform", errors: []int{http.StatusServiceUnavailable}}, s.readyz)
	register(s, route{method: http.MethodGet, path: "/api/v1/auth/whoami", id: "whoami", summary: "Who am I, and what may I do?", tag: "Access"}, s.whoami)
}
