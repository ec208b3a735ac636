package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rs/zerolog"

	"nexus.internal/libs/embed/embedpg"
)

// Postgres is a private Postgres server that can be stopped, killed and started
// again at the same address.
type Postgres struct {
	dir, binDir string

	mu     sync.Mutex
	server *embedpg.Server
	url    string
}

// Start starts the server on the data it left.
func (p *Postgres) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	server, err := embedpg.Start(ctx, embedpg.Options{BinDir: p.binDir, DataDir: p.dir, Durable: true, SharedBuffers: "64MB", Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	p.server = server
	if p.url != "" && p.url != server.URL() {
		return fmt.Errorf("postgres moved from %s to %s: the folder's path is too long for a socket", p.url, server.URL())
	}
	p.url = server.URL()
	return nil
}

// URL is where the server is.
func (p *Postgres) URL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

// Stop shuts the server down in order.
func (p *Postgres) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err := p.server.Stop(ctx)
	p.server = nil
	return err
}

// Kill ends every process of the server at once, the first of them first so
// that it cannot tidy up after the others.
func (p *Postgres) Kill(ctx context.Context) error {
	p.mu.Lock()
	pid := 0
	if p.server != nil {
		pid = p.server.PID()
	}
	p.mu.Unlock()
	if pid == 0 {
		return errors.New("there is no Postgres server to kill")
	}
	children := childrenOf(pid)
	for _, victim := range append([]int{pid}, children...) {
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill Postgres: %w", err)
		}
	}
	// It gives back what the server held.
	return p.Stop(ctx)
}

// childrenOf are the processes that a process has started; none where the
// system does not tell.
func childrenOf(pid int) []int {
	id := strconv.Itoa(pid)
	text, err := os.ReadFile(filepath.Join("/proc", id, "task", id, "children"))
	if err != nil {
		return nil
	}
	var out []int
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			out = append(out, child)
		}
	}
	return out
}
