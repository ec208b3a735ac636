package httpapi

import (
	"context"
	"net/http"
	"strings"

	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/services/gateway/internal/readiness"
)

type statusBody struct {
	Status string `json:"status" enum:"ok" doc:"Always ok: whatever is not is an error."`
}

func (s *Server) healthz(context.Context, *none) (*body[statusBody], error) {
	return &body[statusBody]{Body: statusBody{Status: "ok"}}, nil
}

type degraded struct {
	Service string `json:"service" enum:"audit,corpus,plugins,webhooks" doc:"A service that does not answer, or misses its database."`
	Detail  string `json:"detail" doc:"Why, for a person."`
}

type readyBody struct {
	Status   string     `json:"status" enum:"ok" doc:"Always ok: whatever is not is an error."`
	Degraded []degraded `json:"degraded,omitempty" doc:"What does not work now, where anything does not; the routes that need it answer 503."`
}

// readyz says whether jobs can be taken: it asks what that needs, and names what
// else is away.
func (s *Server) readyz(ctx context.Context, _ *none) (*body[readyBody], error) {
	if s.draining.Load() {
		return nil, fault.Unavailablef("The gateway is shutting down.")
	}
	found := s.deps.Readiness.Check(ctx)
	if len(found.Missing) > 0 {
		detail := "Not ready: " + listed(found.Missing) + "."
		if len(found.Degraded) > 0 {
			detail += " Away, too: " + listed(found.Degraded) + "."
		}
		return nil, fault.Unavailablef("%s", detail)
	}
	out := &body[readyBody]{Body: readyBody{Status: "ok"}}
	for _, a := range found.Degraded {
		out.Body.Degraded = append(out.Body.Degraded, degraded{Service: a.Name, Detail: a.Why})
	}
	return out, nil
}

func listed(absent []readiness.Absent) string {
	names := make([]string, len(absent))
	for i, a := range absent {
		names[i] = a.String()
	}
	return strings.Join(names, "; ")
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
	s.metricRoutes()
}
