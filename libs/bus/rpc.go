package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/telemetry"
)

const (
	// maxTimeout bounds how long a handler may work on one request, whatever
	// the requester says.
	maxTimeout = 30 * time.Second
	// maxConcurrent bounds the requests one process handles at once.
	maxConcurrent = 256
	// codeStopping answers a request that came while its service was stopping: nothing
	// was done about it.
	codeStopping = "stopping"
	// othersWithin bounds how long a request looks for a service that takes it, firstRest
	// and lastRest how long it rests between two looks.
	othersWithin        = 2 * time.Second
	firstRest, lastRest = 10 * time.Millisecond, 250 * time.Millisecond
)

// RPC answers requests of other services as a NATS micro service, so that
// `nats micro ls` and `nats micro stats` show it. It is a run.Component.
type RPC struct {
	nc        *nats.Conn
	log       zerolog.Logger
	tracer    trace.Tracer
	name      string
	version   string
	endpoints []endpoint
	health    func(context.Context) error
	passing   func(error) bool
	requests  *metrics.Counter
	durations *metrics.Histogram
	slots     chan struct{}
	working   sync.WaitGroup
	mu        sync.Mutex
	stopped   bool
}

type endpoint struct {
	subject string
	handle  func(ctx context.Context, data []byte) ([]byte, error)
}

// NewRPC makes the service of one name. It answers contract.RPCPing by itself.
func NewRPC(nc *nats.Conn, log zerolog.Logger, tracer trace.TracerProvider, name string) *RPC {
	r := &RPC{
		nc: nc, log: log, tracer: tracer.Tracer("nexus.internal/libs/bus"),
		name: "nexus-" + name, version: "1.0.0", slots: make(chan struct{}, maxConcurrent),
		health: func(context.Context) error { return nil }, passing: func(error) bool { return false },
	}
	Handle(r, contract.RPCPing(name), r.ping)
	return r
}

// Health sets what the service asks itself before it answers a ping. An error
// without a kind is that of its database.
func (r *RPC) Health(check func(context.Context) error) { r.health = check }

// Passing sets which errors without a kind will pass by themselves, such as those
// of a database that is away. Requesters are told to try again.
func (r *RPC) Passing(is func(error) bool) { r.passing = is }

// Measure counts the requests from now on. It must be called before Run.
func (r *RPC) Measure(set *metrics.Set) {
	r.requests, r.durations = set.Counter(metrics.RPCRequests), set.Histogram(metrics.RPCDuration)
}

// answered counts a request under the last word of its subject.
func (r *RPC) answered(subject string, err error, took time.Duration) {
	method, outcome := subject[strings.LastIndexByte(subject, '.')+1:], "ok"
	if err != nil {
		outcome = string(fault.KindOf(err))
	}
	r.requests.Add(1, method, outcome)
	r.durations.Record(took.Seconds(), method)
}

func (r *RPC) ping(ctx context.Context, _ struct{}) (struct{}, error) {
	err := r.health(ctx)
	switch {
	case err == nil:
		return struct{}{}, nil
	case fault.KindOf(err) != fault.Internal:
		return struct{}{}, err
	default:
		return struct{}{}, fault.Wrap(fault.Unavailable, err, "Postgres does not answer.")
	}
}

// Handle answers requests on subject with fn. It must be called before Run.
// An error of fn goes back to the requester as a fault; one without a kind is
// logged here and says nothing about its cause there.
func Handle[Req, Resp any](r *RPC, subject string, fn func(context.Context, Req) (Resp, error)) {
	r.endpoints = append(r.endpoints, endpoint{subject: subject, handle: func(ctx context.Context, data []byte) ([]byte, error) {
		var req Req
		if err := contract.Decode(data, &req); err != nil {
			return nil, fault.Invalidf("bad_request", "The request is not valid JSON for this call: %v.", err)
		}
		resp, err := fn(ctx, req)
		if err != nil {
			return nil, err
		}
		out, err := contract.Encode(resp)
		if err != nil {
			return nil, fmt.Errorf("encode the answer: %w", err)
		}
		if int64(len(out)) > r.nc.MaxPayload() {
			return nil, fault.New(fault.TooLarge, "", "The answer is larger than one message; ask for less.")
		}
		return out, nil
	}})
}

// Name implements run.Component.
func (r *RPC) Name() string { return r.name + " rpc" }

// Run implements run.Component.
func (r *RPC) Run(ctx context.Context, ready func()) error {
	svc, err := micro.AddService(r.nc, micro.Config{Name: r.name, Version: r.version, Description: "Nexus " + r.name})
	if err != nil {
		return fmt.Errorf("register %s: %w", r.name, err)
	}
	base := context.WithoutCancel(ctx)
	for _, e := range r.endpoints {
		name := strings.ReplaceAll(e.subject, ".", "-")
		err := svc.AddEndpoint(name, micro.HandlerFunc(func(req micro.Request) { r.serve(base, e, req) }), micro.WithEndpointSubject(e.subject))
		if err != nil {
			return errors.Join(fmt.Errorf("register endpoint %s: %w", e.subject, err), r.shut(svc))
		}
	}
	if err := r.nc.Flush(); err != nil {
		return errors.Join(fmt.Errorf("register %s: %w", r.name, err), r.shut(svc))
	}
	ready()
	<-ctx.Done()
	return r.shut(svc)
}

// shut stops the service and waits for what it works on. Stopping drains beside
// us: what comes after this is sent back, and its sender asks another replica.
func (r *RPC) shut(svc micro.Service) error {
	err := svc.Stop()
	if err == nil {
		// Now the server knows, too.
		err = r.nc.FlushTimeout(time.Second)
	}
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.working.Wait()
	if err != nil && !r.nc.IsClosed() {
		return fmt.Errorf("stop %s: %w", r.name, err)
	}
	return nil
}

func (r *RPC) serve(base context.Context, e endpoint, req micro.Request) {
	r.slots <- struct{}{}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		<-r.slots
		r.respond(req, &nats.Msg{Header: nats.Header{micro.ErrorCodeHeader: {codeStopping}, micro.ErrorHeader: {codeStopping}}})
		return
	}
	r.working.Go(func() {
		defer func() { <-r.slots }()
		ctx, cancel := context.WithTimeout(base, timeoutOf(req.Headers()))
		defer cancel()
		ctx = telemetry.FromHeader(ctx, nats.Header(req.Headers()))
		ctx, span := r.tracer.Start(ctx, e.subject, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		if id := telemetry.RequestID(ctx); id != "" && span.IsRecording() {
			span.SetAttributes(attribute.String("nexus.request_id", id))
		}
		start := time.Now()
		out, err := r.call(ctx, e, req.Data())
		r.answered(e.subject, err, time.Since(start))
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
			r.refuse(ctx, e.subject, req, err)
			return
		}
		r.respond(req, &nats.Msg{Data: out})
	})
}

// call turns a panic into an error: one bad request must not end the process.
func (r *RPC) call(ctx context.Context, e endpoint, data []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while handling %s: %v", e.subject, p)
		}
	}()
	return e.handle(ctx, data)
}

func (r *RPC) refuse(ctx context.Context, subject string, req micro.Request, err error) {
	public := fault.Public(err)
	if public.Kind == fault.Internal && r.passing(err) {
		r.log.Warn().Err(err).Str(telemetry.FieldSubject, subject).Str(telemetry.FieldTraceID, telemetry.TraceID(ctx)).Str(telemetry.FieldRequestID, telemetry.RequestID(ctx)).Msg("request cannot be answered now")
		public = fault.Unavailablef("A service that is needed for this cannot do it now.")
	}
	if public.Kind == fault.Internal {
		r.log.Error().Err(err).Str(telemetry.FieldSubject, subject).Str(telemetry.FieldTraceID, telemetry.TraceID(ctx)).Str(telemetry.FieldRequestID, telemetry.RequestID(ctx)).Msg("request failed")
	}
	body, encErr := json.Marshal(public)
	if encErr != nil {
		body = nil
	}
	r.respond(req, &nats.Msg{Data: body, Header: nats.Header{
		micro.ErrorCodeHeader: {string(public.Kind)}, micro.ErrorHeader: {public.Code},
	}})
}

// respond answers on the connection itself: a micro.Request must not be used
// any more once its handler has returned, and ours has.
func (r *RPC) respond(req micro.Request, answer *nats.Msg) {
	if answer.Subject = req.Reply(); answer.Subject == "" {
		return
	}
	if err := r.nc.PublishMsg(answer); err != nil {
		r.log.Warn().Err(err).Str(telemetry.FieldSubject, req.Subject()).Msg("could not answer a request")
	}
}

func timeoutOf(h micro.Headers) time.Duration {
	ms, err := strconv.ParseInt(h.Get(contract.HeaderTimeout), 10, 64)
	if err != nil || ms <= 0 {
		return maxTimeout
	}
	return time.Duration(min(ms, maxTimeout.Milliseconds())) * time.Millisecond
}

// Call asks another service. Its faults come back as *fault.Error; a service
// that does not answer, or is not there for two seconds, is a fault of kind
// Unavailable. A request that nobody took is sent again; one that somebody took never
// is. Without a deadline in ctx it waits ten seconds.
func Call[Resp any](ctx context.Context, nc *nats.Conn, subject string, req any) (Resp, error) {
	var resp Resp
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
	}
	msg := nats.NewMsg(subject)
	var err error
	if msg.Data, err = contract.Encode(req); err != nil {
		return resp, fmt.Errorf("encode the request for %s: %w", subject, err)
	}
	deadline, _ := ctx.Deadline()
	msg.Header.Set(contract.HeaderTimeout, strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10))
	telemetry.InjectHeader(ctx, msg.Header)
	answer, err := request(ctx, nc, msg)
	if err != nil {
		return resp, callFault(subject, err)
	}
	if kind := answer.Header.Get(micro.ErrorCodeHeader); kind != "" {
		var f fault.Error
		if err := json.Unmarshal(answer.Data, &f); err != nil || f.Kind == "" {
			return resp, fmt.Errorf("%s answered with an unreadable error %q", subject, kind)
		}
		return resp, &f
	}
	if err := contract.Decode(answer.Data, &resp); err != nil {
		return resp, fmt.Errorf("decode the answer of %s: %w", subject, err)
	}
	return resp, nil
}

// request sends a request until somebody takes it: while a replica is replaced, or the
// connection to NATS is, nobody may for a moment.
func request(ctx context.Context, nc *nats.Conn, msg *nats.Msg) (*nats.Msg, error) {
	end := time.Now().Add(othersWithin)
	for rest := firstRest; ; rest = min(2*rest, lastRest) {
		answer, err := nc.RequestMsgWithContext(ctx, msg)
		if err == nil && answer.Header.Get(micro.ErrorCodeHeader) == codeStopping {
			err = nats.ErrNoResponders
		}
		if !nobodyTook(err) || time.Now().Add(rest).After(end) {
			return answer, err
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// nobodyTook reports whether a request certainly reached nobody who works on it.
func nobodyTook(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded)
}

func callFault(subject string, err error) error {
	err = fmt.Errorf("ask %s: %w", subject, err)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fault.Wrap(fault.TooLarge, err, "The request is larger than the broker takes.")
	}
	return fault.Wrap(fault.Unavailable, err, "A service that is needed for this does not answer now.")
}
