// Command clustertest puts the dev overlay on a cluster, disturbs it in every way that
// its operators will, under load, and counts what failed and what was lost. See
// cluster.go for what it needs.
//
// The same program runs in pods: as the load, and as a stranger on the network.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "clustertest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return testCluster(ctx)
	case args[0] == "load" && len(args) == 2:
		return loadUntilStopped(ctx, args[1], os.Stdout)
	case args[0] == "stop" && len(args) == 1:
		return os.WriteFile(stopFile, nil, 0o600)
	case args[0] == "probe" && len(args) > 1:
		return probe(ctx, args[1:], os.Stdout)
	default:
		return errors.New("want nothing, load URL, stop, or probe ADDRESS…")
	}
}
