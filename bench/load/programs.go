package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"nexus.internal/bench/internal/private"
)

const (
	riverPackage  = "nexus.internal/bench/peers/river"
	riverModule   = "github.com/riverqueue/river"
	riverDatabase = "river"
	// riverIdleJobs are fewer than ours: each takes a quarter of a second.
	riverIdleJobs = 60
)

// programs are what is measured.
type programs struct {
	// dir holds those that were built, "" when none was.
	dir          string
	nexus, river string
}

// build builds what is needed and not given.
func (m *measurement) build(ctx context.Context) error {
	if m.opts.url != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "nexus-load-programs-")
	if err != nil {
		return fmt.Errorf("make a folder for programs: %w", err)
	}
	m.programs = programs{dir: dir, nexus: m.opts.binary}
	if m.opts.binary == "" {
		m.programs.nexus = filepath.Join(dir, "nexus")
		if err := m.compile(ctx, m.programs.nexus, private.Package); err != nil {
			return err
		}
	}
	if m.opts.river {
		m.programs.river = filepath.Join(dir, "river")
		return m.compile(ctx, m.programs.river, riverPackage)
	}
	return nil
}

func (m *measurement) compile(ctx context.Context, to, pkg string) error {
	fmt.Fprintln(m.progress, "building", pkg)
	return private.Build(ctx, to, pkg)
}

// clean removes what was built.
func (m *measurement) clean() error {
	if m.programs.dir == "" {
		return nil
	}
	return os.RemoveAll(m.programs.dir)
}

// river measures River on the Postgres of a server, as a program of its own, and
// takes over its figures.
func (m *measurement) river(ctx context.Context, server *private.Server) error {
	database, err := url.Parse(server.DatabaseURL)
	if err != nil {
		return fmt.Errorf("name River's database: %w", err)
	}
	database.Path = "/" + riverDatabase
	lengths := m.opts.lengths()
	cmd := exec.CommandContext(ctx, m.programs.river,
		"--database", database.String(), "--postgres-pid", strconv.Itoa(server.PostgresPID),
		"--phase", lengths.Phase.String(), "--together", lengths.Together.String(),
		"--jobs", strconv.Itoa(lengths.Jobs), "--idle-jobs", strconv.Itoa(min(lengths.IdleJobs, riverIdleJobs)))
	cmd.Stderr = m.progress
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run River: %w", err)
	}
	fmt.Fprintln(m.progress, "  River")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run River: %w", err)
	}
	readErr := m.sheet.Load(out)
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		return errors.Join(fmt.Errorf("run River: %w", err), context.Cause(ctx))
	}
	return readErr
}

// versionIn is the version of a module that a program was built with.
func versionIn(program, module string) (string, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("look what %s was built with: %w", program, err)
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version, nil
		}
	}
	return "", fmt.Errorf("%s was built without %s", program, module)
}
