// Package job is the life of a job as rules: its states, the events that move
// it between them, and what happens after a failure. It is pure: no clock, no
// database, no broker.
package job

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nexus.internal/libs/contract"
)

// Event is something that happens to a recorded job.
type Event string

// The events of a job's life.
const (
	// Claim gives a worker the right to run one attempt.
	Claim Event = "claim"
	// Succeed records the result of an attempt.
	Succeed Event = "succeed"
	// Retry ends an attempt that failed, or whose lease ran out, with another
	// one to come.
	Retry Event = "retry"
	// Exhaust ends an attempt that failed, or whose lease ran out, with no
	// further one.
	Exhaust Event = "exhaust"
	// Release gives a job back unfinished, without cost to its attempts.
	Release Event = "release"
	// Snooze puts a running job off, without cost to its attempts.
	Snooze Event = "snooze"
	// Defer puts a running job off because something it needs is unavailable,
	// without cost to its attempts.
	Defer Event = "defer"
	// Cancel ends a job because somebody asked for it.
	Cancel Event = "cancel"
	// Requeue gives a job that did not succeed all its attempts again, because
	// somebody asked for it.
	Requeue Event = "requeue"
)

// Events lists every event.
func Events() []Event {
	return []Event{Claim, Succeed, Retry, Exhaust, Release, Snooze, Defer, Cancel, Requeue}
}

// Transition says from which states an event leads to which.
type Transition struct {
	Event Event
	From  []contract.Status
	To    contract.Status
}

// Transitions is the state machine: whatever is not listed cannot happen. The
// store writes states through it and through nothing else.
func Transitions() []Transition {
	const (
		queued    = contract.StatusQueued
		running   = contract.StatusRunning
		retryWait = contract.StatusRetryWait
	)
	return []Transition{
		{Claim, []contract.Status{queued, retryWait}, running},
		{Succeed, []contract.Status{running}, contract.StatusSucceeded},
		{Retry, []contract.Status{running}, retryWait},
		{Exhaust, []contract.Status{running}, contract.StatusFailed},
		{Release, []contract.Status{running}, retryWait},
		{Snooze, []contract.Status{running}, retryWait},
		{Defer, []contract.Status{running}, retryWait},
		{Cancel, []contract.Status{queued, running, retryWait}, contract.StatusCancelled},
		{Requeue, []contract.Status{contract.StatusFailed, contract.StatusCancelled}, queued},
	}
}

// ErrTransition means that an event cannot happen in a state.
var ErrTransition = errors.New("not possible in this state")

// Of is the transition of an event.
func Of(event Event) (Transition, error) {
	for _, t := range Transitions() {
		if t.Event == event {
			return t, nil
		}
	}
	return Transition{}, fmt.Errorf("event %q: %w", event, ErrTransition)
}

// Apply is the state after an event, or ErrTransition.
func Apply(from contract.Status, event Event) (contract.Status, error) {
	t, err := Of(event)
	if err != nil {
		return "", err
	}
	if !slices.Contains(t.From, from) {
		return "", fmt.Errorf("%s a job that is %s: %w", event, from, ErrTransition)
	}
	return t.To, nil
}

// AfterFailure is the event that follows the failure of an attempt.
func AfterFailure(attempt, maxAttempts int, permanent bool) Event {
	if permanent || attempt >= maxAttempts {
		return Exhaust
	}
	return Retry
}

// The shortest and the longest time a job is put off for while something it needs
// is unavailable.
const (
	MinDefer = 2 * time.Second
	MaxDefer = 5 * time.Minute
)

// AfterUnavailable is the event that follows a run that found something it needs
// unavailable, where that has lasted for as long as waited.
func AfterUnavailable(waited, limit time.Duration) Event {
	if waited >= limit {
		return Exhaust
	}
	return Defer
}

// DeferDelay is for how long a job is put off: as long again as it was before, so
// that each wait is about twice the one before it.
func DeferDelay(waited time.Duration) time.Duration {
	return min(max(waited, MinDefer), MaxDefer)
}

// Diagram renders the state machine as a Mermaid state diagram.
func Diagram() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> queued: submit\n")
	for _, t := range Transitions() {
		for _, from := range t.From {
			fmt.Fprintf(&b, "    %s --> %s: %s\n", from, t.To, t.Event)
		}
	}
	for _, s := range contract.Statuses() {
		if s.Finished() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	return b.String()
}
