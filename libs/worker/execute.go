package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// abandonAfter is how long a handler may go on after its context has ended
// before its run is reported without it.
const abandonAfter = 5 * time.Second

// start runs a granted job beside the caller.
func (w *Worker) start(ctx context.Context, i *item) {
	runCtx, cancel := context.WithCancelCause(ctx)
	i.ran = true
	w.held.started(i, cancel)
	go func() {
		defer cancel(nil)
		err := fault.Guard(func() error {
			w.execute(runCtx, i)
			return nil
		})
		if err != nil {
			w.spoiled(runCtx, i, err)
		}
	}()
}

// startSpan continues the trace of the submit with the first run of a job. Any other
// has a trace of its own, linked to that one.
func (w *Worker) startSpan(ctx context.Context, g contract.Grant) (context.Context, trace.Span) {
	ctx = telemetry.WithRequestID(ctx, g.RequestID)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("nexus.job_id", g.JobID), attribute.Int("nexus.attempt", g.Attempt), attribute.String("nexus.worker", w.cfg.Name),
		attribute.String("nexus.request_id", g.RequestID),
	)}
	if g.Repeated {
		options = append(options, telemetry.Linked(ctx, g.TraceParent)...)
	} else {
		ctx = telemetry.WithTraceParent(ctx, g.TraceParent)
	}
	return w.tracer.Start(ctx, "run "+g.JobType, options...)
}

// spoiled lets go of a job that made the worker panic beside its handler. Its lease
// runs out, and the job is tried again.
func (w *Worker) spoiled(_ context.Context, i *item, err error) {
	w.log.Error().Err(err).Bytes("stack", fault.Stack(err)).Str(telemetry.FieldJobID, i.jobID).Msg("the worker panicked over a job")
	if w.held.has(i) {
		w.letGo(i, true)
	}
}

// unclaimed is spoiled for jobs that are not running yet.
func (w *Worker) unclaimed(ctx context.Context, i *item, err error) {
	if !w.held.running(i) {
		w.spoiled(ctx, i, err)
	}
}

func (w *Worker) execute(ctx context.Context, i *item) {
	g := i.grant
	ctx, span := w.startSpan(ctx, g)
	started := time.Now()
	ofRun(w.log.Debug(), g).Msg("job run begins")
	value, err := w.runInTurn(ctx, i)
	if err != nil {
		span.SetStatus(codes.Error, contract.Cut(err.Error(), 200))
	}
	runtime := time.Since(started)
	i.result = w.resultOf(g, i.token, value, err, context.Cause(ctx))
	if large, total := takeLarge(&i.result); len(large) > 0 {
		if err = w.put(ctx, i, large, total); err != nil {
			i.result = w.resultOf(g, i.token, Result{}, err, context.Cause(ctx))
		}
	}
	cause := context.Cause(ctx)
	// What is given back was not processed: a limit does not count it.
	i.ran = i.result.Outcome != contract.OutcomeReleased
	i.result.StartedAt = started.UTC()
	i.result.RuntimeMS = runtime.Milliseconds()
	i.result.TraceParent = telemetry.TraceParent(ctx)
	span.End()
	w.logRun(g, i.result, err)
	if errors.Is(cause, errCancelled) || errors.Is(cause, errLeaseLost) || errors.Is(err, errLeaseLost) {
		// Nobody waits for this result; reporting it would be refused.
		w.letGo(i, false)
		return
	}
	if err := w.finishes.Add(context.WithoutCancel(ctx), i); err != nil {
		w.letGo(i, true)
		return
	}
	// The next job may start while this result is being recorded. Adding waits
	// when too many results are waiting, so a jobs service that is away stops
	// the worker from taking more.
	w.freeSlot(i)
}

func (w *Worker) logRun(g contract.Grant, r contract.RunResult, err error) {
	level := zerolog.DebugLevel
	if r.Outcome == contract.OutcomeFailed {
		level = zerolog.WarnLevel
	}
	e := w.log.WithLevel(level)
	if !e.Enabled() {
		return
	}
	if r.Unavailable || errors.Is(err, errLeaseLost) || errors.Is(err, errCancelled) {
		// What the job shows does not say whom to look at.
		e.Str("error", storable(err.Error()))
	}
	if r.Outcome == contract.OutcomeFailed {
		e.Bool("permanent", r.Permanent).Bool("unavailable", r.Unavailable)
	}
	if r.ErrorKind != "" {
		e.Str("error_kind", r.ErrorKind).Str("error_code", r.ErrorCode)
	}
	ofRun(e, g).Int64("runtime_ms", r.RuntimeMS).Msg("job run " + string(r.Outcome))
}

// ofRun ties an entry to the attempt at a job.
func ofRun(e *zerolog.Event, g contract.Grant) *zerolog.Event {
	return telemetry.OfJob(e, g.JobID, g.JobType, g.RequestID, g.TraceParent).Int("attempt", g.Attempt)
}

// runInTurn calls the handler once fewer than the allowed number are at work.
func (w *Worker) runInTurn(ctx context.Context, i *item) (Result, error) {
	select {
	case w.handling <- struct{}{}:
		defer func() { <-w.handling }()
		return w.runHandler(ctx, i)
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

type handled struct {
	result Result
	err    error
}

// runHandler calls the handler under its deadline. A handler that ignores the
// end of its context is reported without being waited for.
func (w *Worker) runHandler(ctx context.Context, i *item) (Result, error) {
	g := i.grant
	handler := w.handlers[g.JobType]
	if handler == nil {
		return Result{}, fmt.Errorf("this worker has no handler for %s", g.JobType)
	}
	timeout := time.Duration(g.TimeoutSeconds) * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the run took longer than its limit of %s", timeout))
	defer cancel()
	payload, err := w.payload(ctx, g)
	if err != nil {
		return Result{}, w.judged(ctx, err)
	}
	done := make(chan handled, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				ofRun(w.log.Error(), g).Str("panic", fault.PanicText(p)).Bytes("stack", debug.Stack()).Msg("a handler panicked")
				done <- handled{err: fmt.Errorf("the handler panicked: %v", p)}
			}
		}()
		result, err := handler(ctx, Job{
			ID: g.JobID, Type: g.JobType, Attempt: g.Attempt, MaxAttempts: g.MaxAttempts,
			Payload: payload, ExecutionMode: g.ExecutionMode, CreatedBy: g.CreatedBy, RequestID: g.RequestID,
			report: func(percent float64, message string) { w.progress(i, percent, message) },
		})
		done <- handled{result, err}
	}()
	select {
	case h := <-done:
		return h.result, w.judged(ctx, h.err)
	case <-ctx.Done():
	}
	abandon := time.NewTimer(abandonAfter)
	defer abandon.Stop()
	select {
	case h := <-done:
		return h.result, w.judged(ctx, h.err)
	case <-abandon.C:
		return Result{}, fmt.Errorf("the handler did not stop when told to: %w", context.Cause(ctx))
	}
}

// judged marks the error of a handler that found something it needs unavailable. The
// end of the run's own time is no such thing: whatever was waited for then, the run
// took too long. What a handler itself calls unavailable is so.
func (w *Worker) judged(ctx context.Context, err error) error {
	err = timeoutCause(ctx, err)
	if err == nil || IsPermanent(err) || snoozed(err) > 0 {
		return err
	}
	if fault.KindOf(err) == fault.Internal && ctx.Err() == nil && w.deps.Fault != nil {
		err = w.deps.Fault(err)
	}
	if fault.KindOf(err) == fault.Unavailable {
		return &unavailableError{err}
	}
	return err
}

// timeoutCause tells why the context ended, where that is why the handler
// failed and the handler did not say more itself.
func timeoutCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || IsPermanent(err) || retryDelay(err) > 0 || snoozed(err) > 0 {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

func (w *Worker) resultOf(g contract.Grant, token string, value Result, err, cause error) contract.RunResult {
	r := contract.RunResult{JobID: g.JobID, LeaseToken: token, Outcome: contract.OutcomeSucceeded}
	if err == nil {
		r.Result, err = encodeValue(value.Value)
		r.Artifacts = value.Artifacts
		if err == nil {
			err = checkArtifacts(value.Artifacts)
		}
	}
	if err == nil {
		return r
	}
	if errors.Is(cause, errReleased) {
		r.Outcome = contract.OutcomeReleased
		return r
	}
	if d := snoozed(err); d > 0 {
		r.Outcome, r.RetryAfterMS = contract.OutcomeSnoozed, d.Milliseconds()
		r.Result, r.Artifacts = nil, nil
		return r
	}
	r = contract.RunResult{
		JobID: g.JobID, LeaseToken: token, Outcome: contract.OutcomeFailed,
		ErrorText: storable(err.Error()), Permanent: IsPermanent(err), RetryAfterMS: retryDelay(err).Milliseconds(),
	}
	if isUnavailable(err) {
		r.Unavailable, r.ErrorText = true, storable(fault.Public(err).Detail)
	}
	var f *fault.Error
	if errors.As(err, &f) {
		r.ErrorKind, r.ErrorCode = string(f.Kind), f.Code
	}
	return r
}

func encodeValue(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	data, err := contract.Encode(v)
	if err != nil {
		return nil, Permanent(fmt.Errorf("the result is not JSON: %w", err))
	}
	return data, nil
}

// storable makes a text that Postgres takes: valid UTF-8, no NUL, not too long.
func storable(s string) string {
	return contract.Cut(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD"), contract.MaxErrorText)
}
