package embedpg

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

var errShutDown = errors.New("it was shut down from outside")

// process is a program this one started.
type process struct {
	running *os.Process
	// done is closed when the program has ended; err then says how.
	done chan struct{}
	err  error
}

// startProcess starts cmd and waits for it in the background. Both happen on
// one operating system thread that lives as long as the program does: the
// kernel's parent death signal goes out when the starting thread ends, not only
// when the whole process does.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	signalOnParentDeath(cmd.SysProcAttr)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.running = cmd.Process
		started <- nil
		p.err = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// ending says how the program ended. It comes after done.
func (p *process) ending() error {
	if p.err == nil {
		return errShutDown
	}
	return p.err
}

// signal sends sig to the program unless it has ended.
func (p *process) signal(sig syscall.Signal) {
	_ = p.running.Signal(sig)
}

// killGroup ends the program and those it started, without asking.
func (p *process) killGroup() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.running.Pid, syscall.SIGKILL)
	}
}
