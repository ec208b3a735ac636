package platform

import (
	"context"
	"errors"
	"time"

	"nexus.internal/libs/run"
	"nexus.internal/migrations"
)

// Keep makes schemas, streams and consumers as Create does, says so to made, and stays
// until ctx ends: streams and consumers that NATS loses meanwhile are made again.
// Servers that are away are waited for without end, and a schema that cannot be
// migrated is an error.
func Keep(ctx context.Context, opts Options, schemas []string, made func(newer []migrations.Ahead)) (err error) {
	cfg := opts.Config
	logs, err := cfg.Logs(opts.Log)
	if err != nil {
		return err
	}
	log := logs.Logger("migrate")
	defer followLevels(logs, log, opts.Levels)()
	if cfg.NATSURL == "" || cfg.DatabaseURL == "" {
		return errors.New("`nexus migrate up --keep` looks after servers that settings name: set NEXUS_NATS_URL and NEXUS_DATABASE_URL; `nexus up` looks after its own")
	}
	in := newInfrastructure(cfg, log, 0)
	var told *ops
	if address := opsAddress(cfg, false); address != "" {
		if told, err = openOps(ctx, address, in.patience.waitingFor, opts.Metrics, log); err != nil {
			return err
		}
		defer told.close()
	}
	if err := in.openKeys(nil, false); err != nil {
		return err
	}
	newer, err := in.create(ctx, schemas)
	if err != nil {
		if ctx.Err() != nil {
			// It was told to stop while it waited.
			return nil
		}
		return err
	}
	made(newer)
	return run.NewSupervisor(log, time.Duration(cfg.ShutdownGrace)*time.Second, run.Func("streams", in.keepStreams)).
		OnReady(told.ready).OnStop(told.stopping).Run(ctx)
}
