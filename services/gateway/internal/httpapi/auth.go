package httpapi

import (
	"context"
	"encoding/json"
	"net"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/gateway/internal/admission"
)

// metaRole is the operation metadata that names the least role; operations
// without it are open to everybody.
const metaRole = "nexus.role"

// authenticate lets in whoever the operation allows.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	required, protected := ctx.Operation().Metadata[metaRole].(identity.Role)
	if !protected {
		next(ctx)
		return
	}
	req := admission.Request{Endpoint: ctx.Operation().Method + " " + ctx.Operation().Path, Address: host(ctx.RemoteAddr()), RequestID: requestIDOf(ctx.Context())}
	caller, err := s.deps.Admission.Identify(ctx.Context(), presentedKey(ctx), req)
	if err == nil {
		if err = admission.RequireRole(caller, required); err != nil {
			s.auditDenied(ctx.Context(), caller, required, req)
		}
	}
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	next(huma.WithContext(ctx, identity.WithCaller(ctx.Context(), caller)))
}

// presentedKey is the API key of a request. A bearer value is accepted as well:
// many clients can send nothing else.
func presentedKey(ctx huma.Context) string {
	if key := ctx.Header(headerAPIKey); key != "" {
		return key
	}
	scheme, value, ok := strings.Cut(ctx.Header("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(value)
	}
	return ""
}

// refuse writes an error before an operation has begun.
func (s *Server) refuse(ctx huma.Context, err error) {
	p := problemOf(ctx.Context(), err)
	if fault.KindOf(err) == fault.Internal {
		s.log.Error().Err(err).Str(telemetry.FieldRequestID, p.RequestID).Msg("request failed")
	}
	if p.Status == 503 {
		ctx.SetHeader("Retry-After", retryAfter)
	}
	body, encErr := json.Marshal(p)
	if encErr != nil {
		ctx.SetStatus(500)
		return
	}
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(p.Status)
	if _, err := ctx.BodyWriter().Write(body); err != nil {
		s.log.Debug().Err(err).Msg("could not write an error")
	}
}

func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

// auditDenied tells the audit trail of a caller whose role was too low.
func (s *Server) auditDenied(ctx context.Context, caller identity.Caller, required identity.Role, req admission.Request) {
	data, err := json.Marshal(contract.AuthDecision{
		KeyHashPrefix: identity.HashPrefix(caller.KeyHash), Role: string(caller.Role), RequiredRole: string(required), Endpoint: req.Endpoint, Address: req.Address,
	})
	if err != nil {
		s.log.Error().Err(err).Msg("could not encode an audit event")
		return
	}
	message, err := bus.EventMessage(contract.AreaAuth, contract.WhatAuthDenied, string(caller.Role), contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaAuth, contract.WhatAuthDenied), Time: s.deps.Now().UTC(), Source: "nexus.gateway",
		Actor: caller.Owner, RequestID: req.RequestID, TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
	if err == nil {
		err = s.deps.Publisher.Publish(ctx, message)
	}
	if err != nil {
		s.log.Error().Err(err).Str(telemetry.FieldRequestID, req.RequestID).Msg("an auth event could not be published")
	}
}
