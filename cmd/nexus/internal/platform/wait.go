package platform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
)

const (
	// firstPause and longestPause are between two tries to reach what is away.
	firstPause, longestPause = 250 * time.Millisecond, 15 * time.Second
	// brokerWithin bounds one question to the broker.
	brokerWithin = 5 * time.Second
)

// patience waits for what is not there yet, with growing pauses and a line for
// each try.
type patience struct {
	log zerolog.Logger
	// limit bounds each wait; zero waits until the process is told to stop.
	limit time.Duration

	mu     sync.Mutex
	reason string
}

// goal is what is waited for: in words for everybody, and with its address for who
// runs the process.
type goal struct{ what, where string }

func (g goal) String() string {
	if g.where == "" {
		return g.what
	}
	return g.what + " at " + g.where
}

// await tries until it succeeds. An error that does not pass ends it at once.
func (p *patience) await(ctx context.Context, g goal, passes func(error) bool, try func(context.Context) error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.Multiplier, pauses.MaxInterval = firstPause, 2, longestPause
	begun := time.Now()
	defer p.say("")
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := try(ctx)
		if err != nil && (ctx.Err() != nil || !passes(err)) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(p.limit), backoff.WithNotify(func(err error, pause time.Duration) {
		p.say(g.what)
		p.log.Warn().Err(err).Dur("again_in", pause).Msg("waiting for " + g.String())
	}))
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case passes(err):
		return fmt.Errorf("waited %s for %s: %w", time.Since(begun).Round(time.Second), g, err)
	default:
		return fmt.Errorf("%s: %w", g, err)
	}
}

func (p *patience) say(reason string) {
	p.mu.Lock()
	p.reason = reason
	p.mu.Unlock()
}

// waitingFor is what is waited for now; empty for nothing.
func (p *patience) waitingFor() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// brokerPasses reports whether an error of the broker may pass: it is away, or
// about to start.
func brokerPasses(err error) bool {
	return !errors.Is(err, bus.ErrDrift) && !errors.Is(err, bus.ErrNoRoom) && !errors.Is(err, bus.ErrNoCluster) && bus.IsNotYet(err)
}

// consumerPasses reports whether a consumer that is not there may come.
func (in *infrastructure) consumerPasses(err error) bool {
	return !in.ownServers() && brokerPasses(err)
}

// awaitConsumers waits until somebody has made what a service reads.
func (in *infrastructure) awaitConsumers(ctx context.Context, service string, js jetstream.JetStream) error {
	for _, c := range reads(service) {
		err := in.patience.await(ctx, goal{what: "the streams, which `nexus migrate up` makes"}, in.consumerPasses, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, brokerWithin)
			defer cancel()
			_, err := js.Consumer(ctx, c.stream, c.durable)
			if err != nil {
				return fmt.Errorf("look for consumer %s of %s: %w", c.durable, c.stream, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// place is a server's URL without what is secret in it: the user, the password
// and the parameters.
func place(url string) string {
	url, _, _ = strings.Cut(url, "?")
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "", url
	}
	rest = rest[strings.LastIndex(rest, "@")+1:]
	if strings.ContainsAny(rest, "= ") {
		// It is a list of settings, or nothing known.
		return ""
	}
	if scheme == "" {
		return rest
	}
	return scheme + "://" + rest
}

// places is place for a list of servers.
func places(urls string) string {
	all := strings.Split(urls, ",")
	for i, url := range all {
		all[i] = place(strings.TrimSpace(url))
	}
	return strings.Join(all, ",")
}
