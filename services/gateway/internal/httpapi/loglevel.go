package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/contract"
)

// LogLevels are the log levels of the platform.
type LogLevels interface {
	Read(ctx context.Context, service string) (contract.LogLevels, error)
	Set(ctx context.Context, by contract.Asker, service, level string) (contract.LogLevels, error)
}

type logLevelInput struct {
	Service string `query:"service" enum:"auth,audit,jobs,corpus,plugins,webhooks,gateway" doc:"One service; without it all."`
}

type setLogLevelInput struct {
	Body struct {
		Level   string `json:"level" enum:"trace,debug,info,warn,error" doc:"The level from now on."`
		Service string `json:"service,omitempty" enum:"auth,audit,jobs,corpus,plugins,webhooks,gateway" doc:"The service whose level is changed, in all its processes; without it all."`
	}
}

func (s *Server) logLevels(ctx context.Context, in *logLevelInput) (*body[contract.LogLevels], error) {
	levels, err := s.deps.LogLevels.Read(ctx, in.Service)
	if err != nil {
		return nil, err
	}
	return &body[contract.LogLevels]{Body: levels}, nil
}

func (s *Server) setLogLevel(ctx context.Context, in *setLogLevelInput) (*body[contract.LogLevels], error) {
	by, err := askerOf(ctx)
	if err != nil {
		return nil, err
	}
	levels, err := s.deps.LogLevels.Set(ctx, by, in.Body.Service, in.Body.Level)
	if err != nil {
		return nil, err
	}
	return &body[contract.LogLevels]{Body: levels}, nil
}

func (s *Server) logLevelRoutes() {
	const tag = "Platform"
	register(s, route{
		method: http.MethodGet, path: "/api/v1/log-level", id: "list-log-levels", summary: "List how much each service logs", tag: tag,
		errors: []int{http.StatusUnprocessableEntity},
	}, s.logLevels)
	register(s, route{method: http.MethodPut, path: "/api/v1/log-level", id: "set-log-level", summary: "Log more or less, while everything runs", tag: tag}, s.setLogLevel)
}
