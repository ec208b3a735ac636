// Command clustertest puts the dev overlay on a cluster, disturbs it in every way that
// its operators will, under load, and counts what failed and what was lost. See
// cluster.go for what it needs.
//
// The same program runs in pods: as the load, and as a stranger on the network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "clustertest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("clustertest", flag.ContinueOnError)
	var s settings
	flags.StringVar(&s.kubectl, "kubectl", "", "the `command` that is kubectl for the cluster; without one there is none, and the test says so")
	flags.StringVar(&s.load, "import", "", "a `command` that loads the image archive whose name follows it")
	flags.StringVar(&s.postgres, "postgres-image", "", "the `image` of Postgres in place of the overlay's")
	if err := flags.Parse(args); err != nil {
		return err
	}
	args = flags.Args()
	switch {
	case len(args) == 0:
		return testCluster(ctx, s, out)
	case args[0] == "load" && len(args) == 2:
		return loadUntilStopped(ctx, args[1], out)
	case args[0] == "stop" && len(args) == 1:
		return os.WriteFile(stopFile, nil, 0o600)
	case args[0] == "probe" && len(args) > 1:
		return probe(ctx, args[1:], out)
	default:
		return errors.New("want nothing, load URL, stop, or probe ADDRESS…")
	}
}
