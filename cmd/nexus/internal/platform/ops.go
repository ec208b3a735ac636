package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/singleflight"

	"nexus.internal/libs/fault"
	"nexus.internal/libs/metrics"
)

const (
	// opsOff serves nothing for operations.
	opsOff = "off"
	// opsAlone is where a process with one service serves it by default.
	opsAlone = "127.0.0.1:0"
	// checkWithin bounds the questions behind an answer of readiness.
	checkWithin = 2 * time.Second
	// maxOpsConnections bounds the connections that are served.
	maxOpsConnections = 64
)

// check asks a part of the process whether it can work.
type check struct {
	name string
	ask  func(ctx context.Context) error
}

// ops tells whoever runs the process how it is: from its first moment to its last,
// and whatever else is away.
type ops struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{}

	waitingFor func() string
	metrics    *metrics.Provider
	asking     singleflight.Group

	mu      sync.Mutex
	serving bool
	stopped bool
	checks  []check
}

// openOps serves on address.
func openOps(ctx context.Context, address string, waitingFor func() string, measured *metrics.Provider, log zerolog.Logger) (*ops, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for operations: %w; choose another address with NEXUS_OPS_ADDR", err)
	}
	o := &ops{listener: l, served: make(chan struct{}), waitingFor: waitingFor, metrics: measured}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", o.readyz)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, measured.Snapshot()) })
	mux.HandleFunc("GET /metrics/prometheus", o.scrape)
	o.server = &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	go func() {
		defer close(o.served)
		// It ends when it is closed, whatever it says.
		_ = o.server.Serve(netutil.LimitListener(l, maxOpsConnections))
	}()
	log.Info().Str("ops_address", l.Addr().String()).Msg("serving health, readiness and metrics")
	return o, nil
}

// add has a part asked once the process serves.
func (o *ops) add(c check) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checks = append(o.checks, c)
}

// ready says that everything has started, stopping that it ends.
func (o *ops) ready() { o.is(true, false) }

func (o *ops) stopping() { o.is(false, true) }

func (o *ops) is(serving, stopped bool) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serving, o.stopped = serving, stopped
}

func (o *ops) close() {
	if o == nil {
		return
	}
	_ = o.server.Close()
	<-o.served
}

func (o *ops) scrape(w http.ResponseWriter, _ *http.Request) {
	text, err := o.metrics.Exposition()
	if err != nil {
		unavailable(w, "The metrics cannot be read now.")
		return
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	// A client that is gone hears nothing.
	_, _ = w.Write(text)
}

func (o *ops) readyz(w http.ResponseWriter, r *http.Request) {
	if missing := o.missing(r.Context()); missing != "" {
		w.Header().Set("Retry-After", "2")
		unavailable(w, "Not ready: "+missing+".")
		return
	}
	answerJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// missing says in words what the process misses; empty where nothing. Those who ask
// at the same time get the same answer.
func (o *ops) missing(ctx context.Context) string {
	o.mu.Lock()
	serving, stopped, checks := o.serving, o.stopped, o.checks[:len(o.checks):len(o.checks)]
	o.mu.Unlock()
	switch {
	case stopped:
		return "it is shutting down"
	case serving:
	default:
		if what := o.waitingFor(); what != "" {
			return "it is starting, and waits for " + what
		}
		return "it is starting"
	}
	shared := context.WithoutCancel(ctx)
	words, _, _ := o.asking.Do("", func() (any, error) { return ask(shared, checks), nil })
	text, _ := words.(string)
	return text
}

// ask asks all parts at once.
func ask(ctx context.Context, checks []check) string {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	words := make([]string, len(checks))
	var asking sync.WaitGroup
	for i, c := range checks {
		asking.Go(func() {
			if err := fault.Guard(func() error { return c.ask(ctx) }); err != nil {
				words[i] = c.name + " (" + inWords(err) + ")"
			}
		})
	}
	asking.Wait()
	var missing []string
	for _, w := range words {
		if w != "" {
			missing = append(missing, w)
		}
	}
	return strings.Join(missing, "; ")
}

// inWords is what an outsider may know of an error. One without a kind is that of a
// database.
func inWords(err error) string {
	if fault.KindOf(err) == fault.Internal {
		return "Postgres does not answer"
	}
	return strings.TrimSuffix(fault.Public(err).Detail, ".")
}

// health joins what a service asks itself with the state of its connection.
func (b *base) health(own func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var errs []error
		if b.nc.Status() != nats.CONNECTED {
			errs = append(errs, fault.Unavailablef("NATS does not answer."))
		}
		if err := own(ctx); err != nil {
			errs = append(errs, fault.Unavailablef("%s.", inWords(err)))
		}
		if len(errs) < 2 {
			return errors.Join(errs...)
		}
		return fault.Unavailablef("%s, and %s", inWords(errs[0]), inWords(errs[1]))
	}
}

// problem is an error as RFC 9457 describes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func unavailable(w http.ResponseWriter, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	answerJSON(w, http.StatusServiceUnavailable, problem{
		Type: "about:blank", Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: detail,
	})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	// A client that is gone hears nothing.
	_, _ = w.Write(body)
}
