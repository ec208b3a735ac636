package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startWithin bounds a start, stopWithin an orderly stop.
	startWithin = 60 * time.Second
	stopWithin  = 45 * time.Second
	// respawnAfter is how soon a process that ended by itself is started again.
	respawnAfter = 500 * time.Millisecond
	lookEvery    = 20 * time.Millisecond
)

// Process is one program that should run. It is started again whenever it ends
// by itself, as an installation would.
type Process struct {
	// Name tells processes apart; it is also their log's.
	Name    string
	command func(generation int) *exec.Cmd
	logPath string
	// ready are what a log holds once the program serves.
	ready string

	mu         sync.Mutex
	wanted     bool
	generation int
	current    *running
	// ended counts how often it ended by itself.
	ended int
}

// running is one generation of a process.
type running struct {
	cmd *exec.Cmd
	// logStart is where its part of the log begins.
	logStart int64
	done     chan struct{}
	err      error // set before done is closed
}

// Start starts the process and waits until it serves.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	p.wanted = true
	err := p.spawn()
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.await(ctx)
}

// spawn starts a generation. The caller holds the lock.
func (p *Process) spawn() error {
	p.generation++
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.Name, err)
	}
	defer func() { _ = log.Close() }()
	start, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.Name, err)
	}
	r := &running{cmd: p.command(p.generation), logStart: start, done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = attributes()
	if err := r.start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.current = r
	go func() {
		<-r.done
		p.onEnd(r)
	}()
	return nil
}

// start starts the program and waits for it in the background, on one thread:
// the kernel ends a child when the thread that started it ends.
func (r *running) start() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.cmd.Start()
		started <- err
		if err == nil {
			r.err = r.cmd.Wait()
		}
		close(r.done)
	}()
	return <-started
}

// onEnd starts a process again that nobody ended.
func (p *Process) onEnd(r *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wanted || p.current != r {
		return
	}
	p.ended++
	time.AfterFunc(respawnAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.wanted && p.current == r {
			// What cannot be started now fails whoever waits for it.
			_ = p.spawn()
		}
	})
}

// await waits until the process serves, or is not wanted any more.
func (p *Process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		served, err := p.serves()
		if err != nil || served {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve (see %s): %w", p.Name, p.logPath, context.Cause(ctx))
		}
	}
}

// serves reports whether the current generation said that it does.
func (p *Process) serves() (bool, error) {
	p.mu.Lock()
	r, wanted := p.current, p.wanted
	p.mu.Unlock()
	if !wanted {
		return false, fmt.Errorf("%s was stopped while it started", p.Name)
	}
	select {
	case <-r.done:
		return false, nil // another generation comes
	default:
	}
	said, err := r.log(p.logPath)
	return strings.Contains(said, p.ready), err
}

// log is what the generation has logged.
func (r *running) log(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(r.logStart, io.SeekStart); err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(f); err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	return text.String(), nil
}

// Logged counts a text in everything the process has logged.
func (p *Process) Logged(text string) (int, error) {
	all, err := (&running{}).log(p.logPath)
	return strings.Count(all, text), err
}

// take says that the process is not wanted any more and returns what runs.
func (p *Process) take() *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = false
	return p.current
}

// Kill ends the process at once, as a crash would, and keeps it down.
func (p *Process) Kill() {
	r := p.take()
	if r == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	<-r.done
}

// Stop ends the process in order and keeps it down. One that does not end in
// time, or ends with an error, is an error.
func (p *Process) Stop() error {
	r := p.take()
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return nil
	default:
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		_ = r.cmd.Process.Kill()
		<-r.done
		return fmt.Errorf("%s did not stop within %s", p.Name, stopWithin)
	}
	var exit *exec.ExitError
	if errors.As(r.err, &exit) {
		return fmt.Errorf("%s stopped with %w (see %s)", p.Name, exit, p.logPath)
	}
	return r.err
}

// Freeze stops the process where it stands; Thaw lets it go on.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	p.mu.Lock()
	r := p.current
	p.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%s was never started", p.Name)
	}
	if err := r.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// PID is the process id of the current generation; zero before the first.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return 0
	}
	return p.current.cmd.Process.Pid
}

// EndedByItself is how often the process ended without being told to.
func (p *Process) EndedByItself() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Worker is the name under which the current generation takes jobs.
func (p *Process) Worker() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return workerName(p.Name, p.generation)
}

func workerName(name string, generation int) string { return fmt.Sprintf("%s.%d", name, generation) }
