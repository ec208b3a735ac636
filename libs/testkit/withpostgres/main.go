// Command withpostgres starts a private Postgres server, runs a command with
// its URL in the environment, and stops the server again. A test run wraps
// itself in it so that all test programs share one server:
//
//	withpostgres FOLDER COMMAND [ARG ...]
//
// The server keeps its files in FOLDER and has the same address each time, so
// that test results stay cached; when another run uses FOLDER already, this one
// makes do with a temporary server.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"nexus.internal/libs/embed/embedpg"
	"nexus.internal/libs/testkit"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	if len(args) < 2 {
		return 2, errors.New("want a folder and a command to run")
	}
	command := args[1:]
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv(testkit.EnvURL) == "" {
		server, startErr := start(ctx, args[0])
		if startErr != nil {
			return 1, startErr
		}
		defer func() {
			stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			defer cancel()
			err = errors.Join(err, server.Stop(stopCtx))
		}()
		if err := os.Setenv(testkit.EnvURL, server.URL()); err != nil {
			return 1, err
		}
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	runErr := cmd.Run()
	var exit *exec.ExitError
	if errors.As(runErr, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, runErr
}

func start(ctx context.Context, folder string) (*embedpg.Server, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("find the folder: %w", err)
	}
	// Readable for the unprivileged user that Postgres runs as.
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("create the folder: %w", err)
	}
	server, err := embedpg.Start(ctx, testkit.Options(folder))
	if errors.Is(err, embedpg.ErrInUse) {
		return embedpg.Start(ctx, testkit.Options(""))
	}
	if err != nil {
		return nil, err
	}
	if err := testkit.DropLeftovers(ctx, server.URL()); err != nil {
		return nil, errors.Join(err, server.Stop(ctx))
	}
	return server, nil
}
