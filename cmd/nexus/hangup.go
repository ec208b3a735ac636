package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/libs/config"
	"nexus.internal/libs/telemetry"
)

// onHangup reads the log level anew, from the environment and .env, each time
// SIGHUP comes, and tells the levels that it found. Where the program had a terminal
// which is gone, the signal means what it always did: the context ends.
func onHangup(ctx context.Context, stderr io.Writer) (context.Context, <-chan platform.NewLevel) {
	ctx, cancel := context.WithCancel(ctx)
	signals, levels := make(chan os.Signal, 1), make(chan platform.NewLevel)
	signal.Notify(signals, syscall.SIGHUP)
	onTerminal := telemetry.IsTerminal(stderr)
	go func() {
		defer cancel()
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if onTerminal && !telemetry.IsTerminal(stderr) {
				return
			}
			select {
			case levels <- levelAnew():
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, levels
}

// levelAnew is the log level that the settings name now.
func levelAnew() platform.NewLevel {
	environ, err := config.Environ(".")
	if err != nil {
		return platform.NewLevel{Err: err}
	}
	cfg, err := platform.LoadConfig(environ)
	return platform.NewLevel{Level: cfg.LogLevel, Err: err}
}
