package httpapi

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/decision"
	"nexus.internal/services/gateway/internal/limit"
	"nexus.internal/services/gateway/internal/reqbody"
)

// metaRole is the operation metadata that names the least role; operations
// without it are open to everybody.
const metaRole = "nexus.role"

type addressKey struct{}

// addressOf is the client's address, for the audit trail.
func addressOf(ctx context.Context) string {
	a, _ := ctx.Value(addressKey{}).(string)
	return a
}

// authenticate lets in whoever the operation allows: known, not too often, and
// trusted enough, in this order.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	required, protected := ctx.Operation().Metadata[metaRole].(identity.Role)
	if !protected {
		next(ctx)
		return
	}
	d := decision.Decision{
		RequiredRole: string(required), Endpoint: ctx.Operation().Method + " " + ctx.Operation().Path, Address: s.origins.address(ctx),
		RequestID: requestIDOf(ctx.Context()), TraceParent: telemetry.TraceParent(ctx.Context()),
	}
	credential := admission.CredentialOf(ctx.Header(headerAPIKey), ctx.Header("Authorization"))
	caller, err := s.identify(ctx, credential, &d)
	if err == nil {
		err = s.limited(ctx, caller)
	}
	if err == nil {
		err = s.allowed(caller, required, &d)
	}
	if d.What != "" {
		s.deps.Decisions.Note(d)
		s.measures.decided(d)
	}
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	inside := context.WithValue(ctx.Context(), addressKey{}, d.Address)
	next(huma.WithContext(ctx, identity.WithCaller(inside, caller)))
}

// identify answers who the caller is. Whoever guesses is slowed down by address:
// a new guess is no new bucket. Many may share an address, so what is good is let
// in whatever others did there.
func (s *Server) identify(ctx huma.Context, credential admission.Credential, d *decision.Decision) (identity.Caller, error) {
	caller, known := s.deps.Admission.Known(credential)
	if credential == (admission.Credential{}) {
		// Nothing was guessed.
		d.What = contract.WhatAuthFailure
		return caller, admission.ErrUnauthenticated()
	}
	if !known {
		wait, blocked := s.guesses.blocked(d.Address)
		var err error
		if caller, err = s.check(ctx.Context(), credential, d.Address, blocked); err != nil {
			return caller, s.notKnown(ctx.Context(), credential, d, err, wait, blocked)
		}
		s.guesses.met(credential.KeyHash())
	}
	d.Actor, d.Role, d.KeyHashPrefix = caller.Owner, string(caller.Role), caller.KeyHashPrefix
	return caller, nil
}

// check asks who presented a credential. Where others have failed too often, what
// could be a guess waits its turn: a key that is not known to be good, but no
// token, which nobody can make.
func (s *Server) check(ctx context.Context, credential admission.Credential, address string, blocked bool) (identity.Caller, error) {
	if blocked && credential.Key != "" && !s.guesses.familiar(credential.KeyHash()) {
		if s.deps.Admission.Refused(credential) {
			return identity.Caller{}, admission.ErrUnauthenticated()
		}
		if !s.guesses.turn(ctx, address) {
			return identity.Caller{}, fault.Unavailablef("Too many keys are being tried from this address; try again later.")
		}
	}
	return s.deps.Admission.Identify(ctx, credential)
}

const tooManyFailures = "Too many failed logins from this address; try again later"

// notKnown counts a failure, or slows down one that is too many. Those are not
// noted: they could fill the audit trail.
func (s *Server) notKnown(ctx context.Context, credential admission.Credential, d *decision.Decision, err error, wait time.Duration, blocked bool) error {
	if fault.KindOf(err) != fault.Unauthenticated {
		return err
	}
	s.guesses.forget(credential.KeyHash())
	if blocked {
		s.guesses.hold(ctx)
		s.measures.refusals.Add(1, limitAddress)
		return tooOften(wait, tooManyFailures)
	}
	d.What, d.KeyHashPrefix = contract.WhatAuthFailure, identity.HashPrefix(credential.KeyHash())
	if wait, blocked := s.guesses.failed(ctx, d.Address); blocked {
		s.measures.refusals.Add(1, limitAddress)
		return tooOften(wait, tooManyFailures)
	}
	return err
}

// allowed asks whether the role is high enough, and has the answer kept.
func (s *Server) allowed(caller identity.Caller, required identity.Role, d *decision.Decision) error {
	err := admission.RequireRole(caller, required)
	d.What = contract.WhatAuthSuccess
	if err != nil {
		d.What = contract.WhatAuthDenied
	}
	return err
}

// limited counts a request of the caller and refuses one too many.
func (s *Server) limited(ctx huma.Context, caller identity.Caller) error {
	v := s.deps.Limits.Take(ctx.Context(), caller)
	if v.Limit == 0 {
		return nil
	}
	ctx.SetHeader("RateLimit-Limit", strconv.Itoa(v.Limit))
	ctx.SetHeader("RateLimit-Remaining", strconv.Itoa(v.Remaining))
	ctx.SetHeader("RateLimit-Reset", strconv.Itoa(seconds(v.Reset)))
	if !v.Allowed {
		s.measures.refusals.Add(1, limitKey)
		return tooOften(v.Wait, "Too many requests with this key: the limit is "+strconv.Itoa(v.Limit)+" a minute")
	}
	return nil
}

// seconds rounds up: a client that waits this long has waited long enough.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// tooOftenError is a refusal that says how long to wait.
type tooOftenError struct {
	cause *fault.Error
	wait  time.Duration
}

func (e *tooOftenError) Error() string { return e.cause.Error() }

func (e *tooOftenError) Unwrap() error { return e.cause }

func tooOften(wait time.Duration, detail string) error {
	return &tooOftenError{fault.New(fault.RateLimited, "rate_limited", detail), wait}
}

// refuse writes an error before an operation has begun.
func (s *Server) refuse(ctx huma.Context, err error) {
	p := problemOf(ctx.Context(), err)
	if p.Status == http.StatusInternalServerError {
		s.log.Error().Err(err).Str(telemetry.FieldRequestID, p.RequestID).Msg("request failed")
	}
	if after := retryAfterOf(p.Status, err); after != "" {
		ctx.SetHeader("Retry-After", after)
	}
	if p.Status == http.StatusUnsupportedMediaType {
		ctx.SetHeader("Accept-Encoding", reqbody.Encodings)
	}
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(p.Status)
	if _, err := ctx.BodyWriter().Write(p.encode()); err != nil {
		s.log.Debug().Err(err).Msg("could not write an error")
	}
}

// Limits counts requests of callers.
type Limits interface {
	Take(ctx context.Context, caller identity.Caller) limit.Verdict
}
