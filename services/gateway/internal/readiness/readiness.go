// Package readiness finds out whether a gateway can serve: whether the services
// behind it can work, and whether the streams take messages.
package readiness

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

const (
	// within bounds a check.
	within = 2 * time.Second
	// storedFor is how long the streams count as taking messages after one did.
	storedFor = 3 * time.Second
	// storeWithin is how long the broker may take to store the probe.
	storeWithin = 1500 * time.Millisecond
	// leastRoom is what a queue of work must still have room for, in bytes.
	leastRoom = 64 << 10
)

// Required lists the services without which nothing can be served, Others those
// without which only their own routes cannot.
func Required() []string { return []string{"auth", "jobs"} }

// Others lists the services that only their own routes need.
func Others() []string { return []string{"audit", "corpus", "plugins", "webhooks"} }

// Absent is something that is not there, and why.
type Absent struct {
	Name, Why string
}

func (a Absent) String() string {
	if a.Why == "" {
		return a.Name
	}
	return a.Name + " (" + strings.TrimSuffix(a.Why, ".") + ")"
}

// Report is what a check found, by name.
type Report struct {
	// Missing is needed for everything; Degraded only for its own routes.
	Missing, Degraded []Absent
}

// Publisher publishes messages and returns once the broker has them.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Checker checks. Checks that come together ask together where that writes.
type Checker struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	pub Publisher
	log zerolog.Logger
	now func() time.Time

	probing singleflight.Group
	mu      sync.Mutex
	stored  time.Time
}

// New makes a checker.
func New(nc *nats.Conn, js jetstream.JetStream, pub Publisher, log zerolog.Logger, now func() time.Time) *Checker {
	return &Checker{nc: nc, js: js, pub: pub, log: log, now: now}
}

// Check asks every service, each of which asks its database, and the broker for
// every stream. The stream of commands must store a message.
func (c *Checker) Check(ctx context.Context) Report {
	if c.nc.Status() != nats.CONNECTED {
		return Report{Missing: []Absent{{Name: "NATS does not answer"}}}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var r Report
	var mu sync.Mutex
	var needed, others sync.WaitGroup
	ask := func(group *sync.WaitGroup, to *[]Absent, name string, why func(context.Context) string) {
		group.Go(func() {
			if because := why(ctx); because != "" {
				mu.Lock()
				*to = append(*to, Absent{name, because})
				mu.Unlock()
			}
		})
	}
	for _, service := range Required() {
		ask(&needed, &r.Missing, service, func(ctx context.Context) string { return c.service(ctx, service) })
	}
	for _, service := range Others() {
		ask(&others, &r.Degraded, service, func(ctx context.Context) string { return c.service(ctx, service) })
	}
	for _, s := range contract.Streams() {
		ask(&needed, &r.Missing, "stream "+s.Name, func(ctx context.Context) string { return c.stream(ctx, s) })
	}
	needed.Wait()
	if len(r.Missing) == 0 {
		// Not before the recorder is there to take the probe away.
		if err := c.probe(ctx); err != nil {
			c.log.Warn().Err(err).Msg("the broker stores no commands")
			r.Missing = append(r.Missing, Absent{"stream " + contract.StreamCommands, "the broker stores no messages; its disk may be full"})
		}
	}
	others.Wait()
	byName := func(a, b Absent) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(r.Missing, byName)
	slices.SortFunc(r.Degraded, byName)
	return r
}

// service says why a service cannot work; empty when it can.
func (c *Checker) service(ctx context.Context, name string) string {
	if _, err := bus.Call[struct{}](ctx, c.nc, contract.RPCPing(name), struct{}{}); err != nil {
		return fault.Public(err).Detail
	}
	return ""
}

// stream says why a stream cannot take messages, as far as the broker knows.
func (c *Checker) stream(ctx context.Context, want contract.Stream) string {
	s, err := c.js.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return "it is missing"
	case err != nil:
		return "the broker does not answer for it"
	}
	info := s.CachedInfo()
	if limit := info.Config.MaxBytes; want.Retention == contract.RetainUntilDone && limit > 0 && uint64(limit) < info.State.Bytes+leastRoom { //nolint:gosec // it is positive
		return "it is full"
	}
	return ""
}

// probe has the broker store a command of no jobs, which the recorder takes away.
func (c *Checker) probe(ctx context.Context) error {
	c.mu.Lock()
	fresh := c.now().Sub(c.stored) < storedFor
	c.mu.Unlock()
	if fresh {
		return nil
	}
	shared := context.WithoutCancel(ctx)
	_, err, _ := c.probing.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(shared, storeWithin)
		defer cancel()
		body, err := contract.Encode(contract.SubmitCommand{Submissions: []contract.Submission{}})
		if err != nil {
			return nil, err
		}
		if err := c.pub.Publish(ctx, bus.Message{Subject: contract.SubjectSubmitJobs, ID: "probe." + uuid.NewString(), Type: contract.TypeSubmitCommand, Body: body}); err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.stored = c.now()
		c.mu.Unlock()
		return nil, nil //nolint:nilnil // there is nothing to return
	})
	return err
}
