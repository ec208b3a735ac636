package bus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/testkit"
)

type question struct {
	N int `json:"n"`
}

type answer struct {
	Text string `json:"text"`
}

// logbook collects what is logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// site is a server, an RPC service and somebody who asks it.
type site struct {
	rpc    *bus.RPC
	log    *logbook
	spans  *tracetest.InMemoryExporter
	caller *nats.Conn
	own    *nats.Conn
}

func newSite(t *testing.T) *site {
	t.Helper()
	server := testkit.NATSServer(t)
	s := &site{log: &logbook{}, spans: tracetest.NewInMemoryExporter(), caller: testkit.Connect(t, server), own: testkit.Connect(t, server)}
	s.rpc = bus.NewRPC(s.own, zerolog.New(s.log), telemetry.NewProvider("test", "v1", sdktrace.NewSimpleSpanProcessor(s.spans)), "test")
	return s
}

func (s *site) ask(t *testing.T, subject string) (answer, error) {
	t.Helper()
	return bus.Call[answer](t.Context(), s.caller, subject, question{N: 1})
}

func TestCallIsAnswered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.Equal(t, "nexus-test rpc", s.rpc.Name())
	bus.Handle(s.rpc, "nexus.rpc.test.double", func(_ context.Context, q question) (answer, error) {
		return answer{strings.Repeat("x", 2*q.N)}, nil
	})
	testkit.Start(t, s.rpc)
	for n := range 5 {
		got, err := bus.Call[answer](t.Context(), s.caller, "nexus.rpc.test.double", question{n})
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("x", 2*n), got.Text)
	}
}

func TestServiceIsListedWithItsEndpoints(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bus.Handle(s.rpc, "nexus.rpc.test.double", func(context.Context, question) (answer, error) { return answer{}, nil })
	testkit.Start(t, s.rpc)
	reply, err := s.caller.RequestWithContext(t.Context(), "$SRV.INFO.nexus-test", nil)
	require.NoError(t, err)
	var info micro.Info
	require.NoError(t, json.Unmarshal(reply.Data, &info))
	subjects := []string{}
	for _, e := range info.Endpoints {
		subjects = append(subjects, e.Subject)
	}
	require.ElementsMatch(t, []string{"nexus.rpc.test.ping", "nexus.rpc.test.double"}, subjects)
}

func TestFaultsCrossTheWire(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	kinds := []fault.Kind{
		fault.Invalid, fault.Unprocessable, fault.Unauthenticated, fault.Forbidden, fault.NotFound,
		fault.Conflict, fault.TooLarge, fault.RateLimited, fault.Unavailable, fault.Internal,
	}
	for _, kind := range kinds {
		bus.Handle(s.rpc, "nexus.rpc.test."+string(kind), func(context.Context, question) (answer, error) {
			f := fault.Wrap(kind, errors.New("the secret cause"), "A sentence.")
			f.Code, f.Fields = "code_of_"+string(kind), []fault.Field{{Location: "body.n", Message: "odd"}}
			return answer{"never seen"}, fmt.Errorf("outer: %w", f)
		})
	}
	testkit.Start(t, s.rpc)
	for _, kind := range kinds {
		got, err := s.ask(t, "nexus.rpc.test."+string(kind))
		require.Empty(t, got)
		var f *fault.Error
		require.ErrorAs(t, err, &f, kind)
		want := fault.New(kind, "code_of_"+string(kind), "A sentence.")
		want.Fields = []fault.Field{{Location: "body.n", Message: "odd"}}
		require.Equal(t, want, f)
	}
	require.Equal(t, 1, strings.Count(s.log.String(), "the secret cause"), "only internal faults are for the log")
}

func TestInternalErrorsSayNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bus.Handle(s.rpc, "nexus.rpc.test.broken", func(context.Context, question) (answer, error) {
		return answer{}, errors.New(`relation "jobs" does not exist`)
	})
	bus.Handle(s.rpc, "nexus.rpc.test.panic", func(context.Context, question) (answer, error) { panic("index 7 out of range") })
	bus.Handle(s.rpc, "nexus.rpc.test.unencodable", func(context.Context, question) (float64, error) { return math.NaN(), nil })
	testkit.Start(t, s.rpc)
	for subject, cause := range map[string]string{
		"nexus.rpc.test.broken":      `relation \"jobs\" does not exist`,
		"nexus.rpc.test.panic":       "panic while handling nexus.rpc.test.panic: index 7 out of range",
		"nexus.rpc.test.unencodable": "encode the answer: json: unsupported value: NaN",
	} {
		for range 2 { // the first one ended nothing
			_, err := s.ask(t, subject)
			require.Equal(t, fault.Public(errors.New("any")), err, subject)
		}
		require.Contains(t, s.log.String(), cause, subject)
	}
}

func TestUnreadableRequestsAreInvalid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bus.Handle(s.rpc, "nexus.rpc.test.double", func(context.Context, question) (answer, error) { return answer{}, nil })
	testkit.Start(t, s.rpc)
	for _, body := range []string{"", "{", "[]", `{"n":"many"}`, `{"n":1e99}`, "\xff\x00"} {
		reply, err := s.caller.RequestWithContext(t.Context(), "nexus.rpc.test.double", []byte(body))
		require.NoError(t, err)
		require.Equal(t, "invalid", reply.Header.Get(micro.ErrorCodeHeader), "%q", body)
		var f fault.Error
		require.NoError(t, json.Unmarshal(reply.Data, &f))
		require.Equal(t, "bad_request", f.Code, "%q", body)
	}
	_, err := bus.Call[answer](t.Context(), s.caller, "nexus.rpc.test.double", func() {})
	require.ErrorContains(t, err, "encode the request for nexus.rpc.test.double")
}

func TestUnreadableAnswersAreErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for subject, reply := range map[string]*nats.Msg{
		"stranger.text":   {Data: []byte("hello")},
		"stranger.fault":  {Data: []byte("hello"), Header: nats.Header{micro.ErrorCodeHeader: {"500"}}},
		"stranger.empty":  {Header: nats.Header{micro.ErrorCodeHeader: {"500"}}},
		"stranger.nobody": {Data: []byte(`{"detail":"a fault of no kind"}`), Header: nats.Header{micro.ErrorCodeHeader: {"x"}}},
	} {
		_, err := s.own.Subscribe(subject, func(m *nats.Msg) { _ = m.RespondMsg(reply) })
		require.NoError(t, err)
		require.NoError(t, s.own.Flush())
		_, err = s.ask(t, subject)
		require.ErrorContains(t, err, subject)
		require.Equal(t, fault.Internal, fault.KindOf(err), subject)
	}
}

func TestWhatDoesNotFitOneMessage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bus.Handle(s.rpc, "nexus.rpc.test.flood", func(_ context.Context, q question) (answer, error) {
		return answer{strings.Repeat("x", q.N)}, nil
	})
	testkit.Start(t, s.rpc)
	most := int(s.caller.MaxPayload()) - len(`{"text":""}`)
	got, err := bus.Call[answer](t.Context(), s.caller, "nexus.rpc.test.flood", question{most})
	require.NoError(t, err)
	require.Len(t, got.Text, most)
	_, err = bus.Call[answer](t.Context(), s.caller, "nexus.rpc.test.flood", question{most + 1})
	require.Equal(t, fault.TooLarge, fault.KindOf(err), "the answer: %v", err)
	_, err = bus.Call[answer](t.Context(), s.caller, "nexus.rpc.test.flood", answer{strings.Repeat("x", 1<<20)})
	require.Equal(t, fault.TooLarge, fault.KindOf(err), "the question: %v", err)
}

func TestNobodyThereIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.ask(t, "nexus.rpc.test.nobody")
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
	require.ErrorIs(t, err, nats.ErrNoResponders)

	// Somebody who listens and never answers.
	silent, err := s.own.SubscribeSync("nexus.rpc.test.silent")
	require.NoError(t, err)
	require.NoError(t, s.own.Flush())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = bus.Call[answer](ctx, s.caller, "nexus.rpc.test.silent", question{})
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	gone, goAway := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := bus.Call[answer](gone, s.caller, "nexus.rpc.test.silent", question{})
		done <- err
	}()
	for range 2 {
		_, err = silent.NextMsgWithContext(t.Context())
		require.NoError(t, err)
	}
	goAway()
	err = testkit.Receive(t, done)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, fault.Internal, fault.KindOf(err), "nobody waits for an answer any more")

	s.caller.Close()
	_, err = s.ask(t, "nexus.rpc.test.silent")
	require.Equal(t, fault.Unavailable, fault.KindOf(err), "%v", err)
}

func TestDeadlinesTravel(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bus.Handle(s.rpc, "nexus.rpc.test.left", func(ctx context.Context, _ question) (time.Duration, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			return 0, errors.New("no deadline")
		}
		return time.Until(deadline), nil
	})
	testkit.Start(t, s.rpc)
	for given, bounds := range map[time.Duration][2]time.Duration{
		0:                {5 * time.Second, 10 * time.Second},
		3 * time.Second:  {time.Second, 3 * time.Second},
		20 * time.Second: {15 * time.Second, 20 * time.Second},
		time.Hour:        {25 * time.Second, 30 * time.Second},
	} {
		ctx := t.Context()
		if given > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, given)
			defer cancel()
		}
		left, err := bus.Call[time.Duration](ctx, s.caller, "nexus.rpc.test.left", question{})
		require.NoError(t, err)
		require.Greater(t, left, bounds[0], "given %s", given)
		require.LessOrEqual(t, left, bounds[1], "given %s", given)
	}
	for _, strange := range []string{"", "soon", "-5", "0", "1e3", "99999999999999999999"} {
		msg := nats.NewMsg("nexus.rpc.test.left")
		msg.Data = []byte("{}")
		msg.Header.Set(contract.HeaderTimeout, strange)
		reply, err := s.caller.RequestMsgWithContext(t.Context(), msg)
		require.NoError(t, err)
		left, err := strconv.ParseInt(string(reply.Data), 10, 64)
		require.NoError(t, err, "%q: %s", strange, reply.Data)
		require.Greater(t, time.Duration(left), 25*time.Second, "%q", strange)
	}
}

func TestHandlersEndWithTheCallersPatience(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ended := make(chan error, 1)
	bus.Handle(s.rpc, "nexus.rpc.test.slow", func(ctx context.Context, _ question) (answer, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return answer{}, ctx.Err()
	})
	testkit.Start(t, s.rpc)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := bus.Call[answer](ctx, s.caller, "nexus.rpc.test.slow", question{})
	require.Error(t, err)
	require.ErrorIs(t, testkit.Receive(t, ended), context.DeadlineExceeded)
}

func TestTraceTravels(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	seen := make(chan trace.SpanContext, 1)
	bus.Handle(s.rpc, "nexus.rpc.test.traced", func(ctx context.Context, _ question) (answer, error) {
		seen <- trace.SpanContextFromContext(ctx)
		return answer{}, fault.NotFoundf("No such thing.")
	})
	stop := testkit.Start(t, s.rpc)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	_, err := bus.Call[answer](telemetry.WithTraceParent(t.Context(), parent), s.caller, "nexus.rpc.test.traced", question{})
	require.Error(t, err)
	inside := testkit.Receive(t, seen)
	stop()
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", inside.TraceID().String())
	spans := s.spans.GetSpans()
	require.Len(t, spans, 1)
	require.Equal(t, "nexus.rpc.test.traced", spans[0].Name)
	require.Equal(t, "00f067aa0ba902b7", spans[0].Parent.SpanID().String())
	require.Equal(t, "No such thing.", spans[0].Status.Description)
}

func TestPingSaysHowTheServiceIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var ill atomic.Pointer[error]
	s.rpc.Health(func(context.Context) error {
		if err := ill.Load(); err != nil {
			return *err
		}
		return nil
	})
	testkit.Start(t, s.rpc)
	ping := func() error {
		_, err := bus.Call[struct{}](t.Context(), s.caller, contract.RPCPing("test"), struct{}{})
		return err
	}
	require.NoError(t, ping())
	cause := errors.New("dial 10.0.0.7: refused")
	ill.Store(&cause)
	err := ping()
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.NotContains(t, err.Error(), "10.0.0.7")
	ill.Store(nil)
	require.NoError(t, ping())
}

func TestServiceWithoutACheckIsWell(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	testkit.Start(t, s.rpc)
	_, err := bus.Call[struct{}](t.Context(), s.caller, contract.RPCPing("test"), struct{}{})
	require.NoError(t, err)
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	bus.Handle(s.rpc, "nexus.rpc.test.slow", func(ctx context.Context, _ question) (answer, error) {
		close(began)
		<-goOn
		return answer{"finished"}, ctx.Err()
	})
	ctx, stop := context.WithCancel(t.Context())
	ready, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- s.rpc.Run(ctx, func() { close(ready) }) }()
	testkit.Receive(t, ready)
	type outcome struct {
		answer answer
		err    error
	}
	answered := make(chan outcome, 1)
	go func() {
		a, err := s.ask(t, "nexus.rpc.test.slow")
		answered <- outcome{a, err}
	}()
	testkit.Receive(t, began)
	stop()
	testkit.Eventually(t, func() bool {
		_, err := bus.Call[struct{}](t.Context(), s.caller, contract.RPCPing("test"), struct{}{})
		return errors.Is(err, nats.ErrNoResponders)
	}, "it takes no more requests")
	require.Empty(t, stopped)
	close(goOn)
	got := testkit.Receive(t, answered)
	require.NoError(t, got.err)
	require.Equal(t, "finished", got.answer.Text)
	require.NoError(t, testkit.Receive(t, stopped))
	require.False(t, s.own.IsClosed(), "the connection is its owner's")
}

func TestOneProcessHandlesSoMuchAtOnce(t *testing.T) {
	t.Parallel()
	const most, calls = 256, 300
	s := newSite(t)
	var now, largest atomic.Int64
	full, goOn := make(chan struct{}), make(chan struct{})
	fill := sync.OnceFunc(func() { close(full) })
	bus.Handle(s.rpc, "nexus.rpc.test.slow", func(context.Context, question) (answer, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			seen := largest.Load()
			if n <= seen || largest.CompareAndSwap(seen, n) {
				break
			}
		}
		if n == most {
			fill()
		}
		<-goOn
		return answer{}, nil
	})
	testkit.Start(t, s.rpc)
	errs := make(chan error, calls)
	for range calls {
		go func() {
			_, err := s.ask(t, "nexus.rpc.test.slow")
			errs <- err
		}()
	}
	testkit.Receive(t, full)
	close(goOn)
	for range calls {
		require.NoError(t, testkit.Receive(t, errs))
	}
	require.EqualValues(t, most, largest.Load())
}

func TestRunNeedsAConnectionAndValidSubjects(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bus.Handle(s.rpc, "nexus.rpc. .x", func(context.Context, question) (answer, error) { return answer{}, nil })
	require.ErrorContains(t, s.rpc.Run(t.Context(), func() {}), "register endpoint nexus.rpc. .x")
	_, err := s.ask(t, contract.RPCPing("test"))
	require.ErrorIs(t, err, nats.ErrNoResponders, "what was registered before it is gone")

	unnamed := bus.NewRPC(s.own, zerolog.Nop(), noop.NewTracerProvider(), "no good")
	require.ErrorContains(t, unnamed.Run(t.Context(), func() {}), "register nexus-no good")

	late := bus.NewRPC(s.own, zerolog.Nop(), noop.NewTracerProvider(), "late")
	s.own.Close()
	require.ErrorContains(t, late.Run(t.Context(), func() {}), "register nexus-late")
}

func TestStopAfterTheConnectionHasGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stop := testkit.Start(t, s.rpc)
	s.own.Close()
	stop()
}

// A connection that goes before the answer is written costs that answer and
// nothing else.
func TestAnswersThatCannotBeSentAreLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for subject, err := range map[string]error{"nexus.rpc.test.answer": nil, "nexus.rpc.test.fault": fault.NotFoundf("No.")} {
		bus.Handle(s.rpc, subject, func(context.Context, question) (answer, error) {
			s.own.Close()
			return answer{}, err
		})
	}
	stop := testkit.Start(t, s.rpc)
	for _, subject := range []string{"nexus.rpc.test.answer", "nexus.rpc.test.fault"} {
		require.NoError(t, s.caller.PublishRequest(subject, "nobody.listens", []byte("{}")))
	}
	testkit.Eventually(t, func() bool { return strings.Contains(s.log.String(), "could not answer a request") }, "nothing was logged")
	stop()
}

func TestMessagesThatWantNoAnswerAreHandled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	handled := make(chan question, 1)
	bus.Handle(s.rpc, "nexus.rpc.test.told", func(_ context.Context, q question) (answer, error) {
		handled <- q
		return answer{}, nil
	})
	testkit.Start(t, s.rpc)
	require.NoError(t, s.caller.Publish("nexus.rpc.test.told", []byte(`{"n":7}`)))
	require.Equal(t, question{7}, testkit.Receive(t, handled))
}
