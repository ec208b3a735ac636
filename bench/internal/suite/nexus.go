package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/bench/internal/command"
	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/jobsdb"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/private"
	"nexus.internal/bench/internal/resource"
	"nexus.internal/libs/contract"
)

const (
	// producers submit at once where nothing else is said.
	producers = 16
	// databaseConnections is as many as the widest floor needs.
	databaseConnections = 16
	settleEvery         = 20 * time.Millisecond
	// settleWithin bounds the wait for what goes on behind an answered submit.
	settleWithin = 2 * time.Minute
	// pauseFor is longer than any phase.
	pauseFor = time.Hour
)

// Nexus measures a private nexus from all sides. It clears the jobs between
// phases.
type Nexus struct {
	*REST
	server   *private.Server
	nc       *nats.Conn
	js       jetstream.JetStream
	db       *jobsdb.DB
	commands *command.Producer
	payloads []json.RawMessage
}

// NewNexus opens everything that is needed to measure a server.
func NewNexus(ctx context.Context, server *private.Server, payloads []json.RawMessage, opts Options, sheet *figure.Sheet, progress io.Writer) (*Nexus, error) {
	n := &Nexus{REST: NewREST(server.HTTPAddr, server.Key, payloads, opts, sheet, progress), server: server, payloads: payloads}
	n.meter = resource.Meter{Servers: []int{server.PID, server.PostgresPID}, Trees: []bool{false, true}}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Nexus) open(ctx context.Context) error {
	key, err := nats.NkeyOptionFromSeed(n.server.NATSKeyFile)
	if err != nil {
		return fmt.Errorf("read the admin's NATS key: %w", err)
	}
	if n.nc, err = nats.Connect(n.server.NATSURL, key, nats.Name("nexus-load")); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	if n.js, err = jetstream.New(n.nc, jetstream.WithPublishAsyncMaxPending(8192)); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if n.commands, err = command.New(n.nc, n.js); err != nil {
		return err
	}
	n.db, err = jobsdb.Open(ctx, n.server.DatabaseURL, databaseConnections)
	return err
}

// Close closes the connections.
func (n *Nexus) Close() error {
	var err error
	if n.commands != nil {
		err = n.commands.Close()
	}
	if n.nc != nil {
		n.nc.Close()
	}
	if n.db != nil {
		n.db.Close()
	}
	return err
}

// Versions names the servers that are measured on.
func (n *Nexus) Versions(ctx context.Context) (postgres, nats string, err error) {
	postgres, err = n.db.Version(ctx)
	return postgres, n.nc.ConnectedServerVersion(), err
}

// CreateDatabase creates a database for another system on the same Postgres.
func (n *Nexus) CreateDatabase(ctx context.Context, name string) error { return n.db.Create(ctx, name) }

// Steps names what a round measures, in order.
func Steps() []string {
	return []string{"floors", "access", "submit", "drain", "together", "idle", "three", "full"}
}

// Last measures what comes after all rounds, because it leaves something behind.
func (n *Nexus) Last(ctx context.Context) error {
	if !n.wants("full") {
		return nil
	}
	return errors.Join(n.full(ctx), n.server.Err())
}

func (n *Nexus) wants(step string) bool {
	return len(n.opts.Only) == 0 || slices.Contains(n.opts.Only, step)
}

// Round measures everything once, or those steps that Options.Only names.
func (n *Nexus) Round(ctx context.Context) error {
	steps := map[string][]func(context.Context) error{
		"floors": {n.floors, n.health}, "access": {n.access}, "submit": {n.submitting}, "drain": {n.drain}, "together": {n.together}, "idle": {n.idle},
		"three": {n.three},
	}
	for _, name := range Steps() {
		if !n.wants(name) {
			continue
		}
		for _, step := range steps[name] {
			if err := step(ctx); err != nil {
				return errors.Join(err, n.server.Err())
			}
		}
	}
	n.settleCounts()
	return nil
}

// pauseWorkers keeps run messages from the workers; they wait as workers do
// that have nothing to run.
func (n *Nexus) pauseWorkers(ctx context.Context) error {
	if _, err := n.js.PauseConsumer(ctx, contract.StreamRuns, workers(), time.Now().Add(pauseFor)); err != nil {
		return fmt.Errorf("pause the workers: %w", err)
	}
	return nil
}

func (n *Nexus) resumeWorkers(ctx context.Context) error {
	if _, err := n.js.ResumeConsumer(ctx, contract.StreamRuns, workers()); err != nil {
		return fmt.Errorf("resume the workers: %w", err)
	}
	return nil
}

func workers() string { return contract.RunConsumer(contract.QueueBench, contract.PriorityNormal) }

// clear forgets all jobs, so that each phase begins alike. What goes on behind
// the answered submits is waited for first.
func (n *Nexus) clear(ctx context.Context) error {
	if err := n.published(ctx); err != nil {
		return err
	}
	if err := n.db.Clear(ctx); err != nil {
		return err
	}
	stream, err := n.js.Stream(ctx, contract.StreamRuns)
	if err != nil {
		return fmt.Errorf("clear the run messages: %w", err)
	}
	if err := stream.Purge(ctx); err != nil {
		return fmt.Errorf("clear the run messages: %w", err)
	}
	return n.audited(ctx)
}

// published waits until every command is recorded and everything it caused is
// in the broker.
func (n *Nexus) published(ctx context.Context) error {
	return pace.Until(ctx, "the outbox is empty", settleEvery, settleWithin, func(ctx context.Context) (bool, error) {
		left, err := n.behind(ctx, contract.StreamCommands, contract.ConsumerRecorder)
		if err != nil || left > 0 {
			return false, err
		}
		rows, err := n.db.Unpublished(ctx)
		return rows == 0, err
	})
}

// audited waits until the audit trail holds every event.
func (n *Nexus) audited(ctx context.Context) error {
	return pace.Until(ctx, "the audit trail is complete", settleEvery, settleWithin, func(ctx context.Context) (bool, error) {
		left, err := n.behind(ctx, contract.StreamEvents, contract.ConsumerAudit)
		return left == 0, err
	})
}

// behind is how many messages a consumer has still to handle.
func (n *Nexus) behind(ctx context.Context, stream, durable string) (uint64, error) {
	consumer, err := n.js.Consumer(ctx, stream, durable)
	if err != nil {
		return 0, fmt.Errorf("look at consumer %s: %w", durable, err)
	}
	info := consumer.CachedInfo()
	return info.NumPending + uint64(info.NumAckPending), nil
}
