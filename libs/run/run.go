// Package run starts and stops the long-running parts of a process in order.
// It knows nothing about what the parts do.
package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// Component is one long-running part of a process.
type Component interface {
	// Name identifies the component in logs.
	Name() string
	// Run blocks until the component has stopped. It calls ready once, when it
	// serves. When ctx ends it drains what it holds and returns nil; any other
	// return stops the whole process.
	Run(ctx context.Context, ready func()) error
}

type funcComponent struct {
	name string
	run  func(ctx context.Context, ready func()) error
}

func (f funcComponent) Name() string                                { return f.name }
func (f funcComponent) Run(ctx context.Context, ready func()) error { return f.run(ctx, ready) }

// Func makes a component of a function.
func Func(name string, run func(ctx context.Context, ready func()) error) Component {
	return funcComponent{name, run}
}

// Supervisor runs components: it starts them in order, each after the one
// before is ready, and stops them in reverse, each after the one behind it has
// returned. The first one to stop by itself stops all.
type Supervisor struct {
	log     zerolog.Logger
	grace   time.Duration
	parts   []Component
	onReady func()
	onStop  func()
}

// NewSupervisor makes a supervisor. grace bounds how long one component may
// take to drain.
func NewSupervisor(log zerolog.Logger, grace time.Duration, parts ...Component) *Supervisor {
	return &Supervisor{log: log, grace: grace, parts: parts, onReady: func() {}, onStop: func() {}}
}

// OnReady is called once every component is ready.
func (s *Supervisor) OnReady(f func()) *Supervisor { s.onReady = f; return s }

// OnStop is called before the first component is told to stop.
func (s *Supervisor) OnStop(f func()) *Supervisor { s.onStop = f; return s }

type running struct {
	part   Component
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	// early says that the component returned before it was told to.
	early bool
}

// ErrDrain means that a component did not stop within the grace period.
var ErrDrain = errors.New("did not stop within the grace period")

// Run starts everything, waits until ctx ends or a component stops by itself,
// and stops everything. It returns what went wrong, joined, or nil.
func (s *Supervisor) Run(ctx context.Context) error {
	failed := make(chan *running, len(s.parts))
	var up []*running
	for _, part := range s.parts {
		r, started := s.start(ctx, part, failed)
		up = append(up, r)
		if !started {
			s.onStop()
			return s.stop(up)
		}
	}
	if ctx.Err() == nil {
		s.onReady()
	}
	select {
	case <-ctx.Done():
	case r := <-failed:
		s.log.Error().Err(stoppedEarly(r)).Msg("a component stopped by itself; stopping all")
	}
	s.onStop()
	return s.stop(up)
}

func stoppedEarly(r *running) error {
	if r.err != nil {
		return fmt.Errorf("%s: %w", r.part.Name(), r.err)
	}
	return fmt.Errorf("%s stopped by itself", r.part.Name())
}

// start returns once the component is ready, with started true. It gives up
// when the component, or one before it, stops by itself, or when ctx ends.
// Components run under a context
// of their own: the end of the parent begins an orderly stop instead of
// reaching all of them at once.
func (s *Supervisor) start(ctx context.Context, part Component, failed chan *running) (r *running, started bool) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r = &running{part: part, cancel: cancel, done: make(chan struct{})}
	ready := make(chan struct{})
	var once bool
	go func() {
		defer close(r.done)
		r.err = part.Run(own, func() {
			if !once {
				once = true
				close(ready)
			}
		})
		if own.Err() == nil {
			r.early = true
			failed <- r
		}
	}()
	select {
	case <-ready:
		s.log.Debug().Str("component", part.Name()).Msg("component ready")
		return r, ctx.Err() == nil
	case <-failed:
		return r, false
	case <-ctx.Done():
		return r, false
	}
}

func (s *Supervisor) stop(up []*running) error {
	var errs []error
	for i := len(up) - 1; i >= 0; i-- {
		r := up[i]
		r.cancel()
		timer := time.NewTimer(s.grace)
		select {
		case <-r.done:
			switch {
			case r.early:
				errs = append(errs, stoppedEarly(r))
			case r.err != nil:
				errs = append(errs, fmt.Errorf("stop %s: %w", r.part.Name(), r.err))
			}
			s.log.Debug().Str("component", r.part.Name()).Msg("component stopped")
		case <-timer.C:
			errs = append(errs, fmt.Errorf("%s: %w (%s)", r.part.Name(), ErrDrain, s.grace))
		}
		timer.Stop()
	}
	return errors.Join(errs...)
}
