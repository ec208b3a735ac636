package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/metrics"
	"nexus.internal/services/gateway/internal/decision"
)

// unmatched stands for the path of requests that no route is for.
const unmatched = "unmatched"

// unread stands for the method of requests that could not be read.
const unread = "unread"

// measures are what is counted of requests.
type measures struct {
	requests  *metrics.Counter
	durations *metrics.Histogram
	decisions *metrics.Counter
	refusals  *metrics.Counter
	inFlight  atomic.Int64
	// patterns are those of the documentation, by the framework's.
	patterns map[string]string
}

func newMeasures(set *metrics.Set) *measures {
	m := &measures{
		requests: set.Counter(metrics.HTTPRequests), durations: set.Histogram(metrics.HTTPDuration),
		decisions: set.Counter(metrics.AuthDecisions), refusals: set.Counter(metrics.LimitRefusals), patterns: map[string]string{},
	}
	for _, what := range []string{contract.WhatAuthSuccess, contract.WhatAuthFailure, contract.WhatAuthDenied} {
		m.decisions.Expect(doorHTTP, what)
	}
	for _, limit := range []string{limitKey, limitAddress, limitStreams} {
		m.refusals.Expect(limit)
	}
	set.Observe(metrics.HTTPInFlight, func(say metrics.Say) { say(float64(m.inFlight.Load())) })
	return m
}

// know learns the patterns of the routes there are.
func (m *measures) know(app *fiber.App, api *huma.OpenAPI) {
	for _, r := range app.GetRoutes(true) {
		m.patterns[r.Path] = r.Path
	}
	for path := range api.Paths {
		m.patterns[strings.NewReplacer("{", ":", "}", "").Replace(path)] = path
	}
}

// pattern is the route of a request, never its raw path.
func (m *measures) pattern(c *fiber.Ctx) string {
	found := c.Route().Path
	if found == "/" && c.Path() != "/" {
		// That is the route of the middleware.
		return unmatched
	}
	if pattern, ok := m.patterns[found]; ok {
		return pattern
	}
	return unmatched
}

// answered counts a request.
func (m *measures) answered(c *fiber.Ctx, status int, took time.Duration) {
	method, path := c.Method(), m.pattern(c)
	m.requests.Add(1, method, path, strconv.Itoa(status))
	m.durations.Record(took.Seconds(), method, path)
}

// decided counts who was let in and who was not.
func (m *measures) decided(d decision.Decision) { m.decisions.Add(1, doorHTTP, d.What) }

// The door and the limits that are counted.
const (
	doorHTTP     = "http"
	limitKey     = "key"
	limitAddress = "address"
	limitStreams = "streams"
)

type expositionOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) exposition(context.Context, *none) (*expositionOutput, error) {
	text, err := s.deps.Metrics.Exposition()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "The metrics cannot be read now.")
	}
	return &expositionOutput{ContentType: metrics.ContentType, Body: text}, nil
}

func (s *Server) snapshot(context.Context, *none) (*body[metrics.Snapshot], error) {
	return &body[metrics.Snapshot]{Body: s.deps.Metrics.Snapshot()}, nil
}

func (s *Server) metricRoutes() {
	const tag = "Platform"
	register(s, route{method: http.MethodGet, path: "/metrics", id: "metrics", summary: "What has happened, in short", tag: tag}, s.snapshot)
	register(s, route{
		method: http.MethodGet, path: "/metrics/prometheus", id: "metrics-prometheus", summary: "What Prometheus scrapes", tag: tag,
		errors: []int{http.StatusServiceUnavailable},
		responses: map[string]*huma.Response{"200": {
			Description: "The text format of Prometheus, version 0.0.4.",
			Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: "string"}}},
		}},
	}, s.exposition)
}
