package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/services/jobs"
)

// checkBrokerEvery is how often a process that may create streams looks whether
// they are still there.
const checkBrokerEvery = 10 * time.Second

// RebuildBroker gives a broker that has lost its store what the recorded jobs
// need: the streams, the consumers, and the run messages that are gone. It may
// run while the platform does.
func RebuildBroker(ctx context.Context, cfg Config, logTo io.Writer) error {
	log, err := cfg.logger(logTo)
	if err != nil {
		return err
	}
	in := newInfrastructure(cfg, log, cfg.commandWait())
	err = in.startServers(ctx, nil, true)
	if err == nil {
		err = in.rebuild(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopServersWithin)
	defer cancel()
	return errors.Join(err, in.stop(last))
}

func (in *infrastructure) rebuild(ctx context.Context) error {
	if _, err := in.create(ctx, nil); err != nil {
		return err
	}
	db, err := in.open(ctx, pg.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return in.asAdmin(ctx, func(nc *nats.Conn, js jetstream.JetStream) error {
		if err := jobs.Rebuild(ctx, jobs.Deps{NC: nc, JS: js, DB: db, Log: in.log, Now: time.Now, Worker: in.cfg.Worker}); err != nil {
			return fmt.Errorf("send unfinished jobs again: %w", err)
		}
		return nil
	})
}

// keepStreams makes streams and consumers again when the broker loses them
// while the process runs. The jobs service then sends again what is gone.
func (in *infrastructure) keepStreams(ctx context.Context, ready func()) error {
	// While it runs the sizes are the operator's.
	streams := slices.Clone(in.streams)
	for i := range streams {
		streams[i].Grow = false
	}
	return in.asAdmin(ctx, func(_ *nats.Conn, js jetstream.JetStream) error {
		ready()
		tick := time.NewTicker(checkBrokerEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if err := in.provision(ctx, js, streams, contract.Consumers(in.cfg.Worker.Lease())); err != nil && ctx.Err() == nil {
				in.log.Warn().Err(err).Msg("could not look after the streams; trying again")
			}
		}
	})
}

// keeper is keepStreams as a component, in processes that may create streams.
func (in *infrastructure) keeper() []run.Component {
	if in.cfg.SchemaMode != SchemaAuto {
		return nil
	}
	return []run.Component{run.Func("streams", in.keepStreams)}
}
