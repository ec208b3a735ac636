package worker

import (
	"errors"
	"time"
)

// Why a running handler's context ends.
var (
	errCancelled = errors.New("the job was cancelled")
	errLeaseLost = errors.New("the lease ran out and somebody else has the job")
	errReleased  = errors.New("the worker is shutting down")
)

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks an error that another attempt cannot mend: the job fails at
// once.
func Permanent(err error) error { return &permanentError{err} }

// IsPermanent reports whether err was marked with Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type retryError struct {
	after time.Duration
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// RetryAfter asks for the next attempt after d instead of the usual back-off.
// It still counts as an attempt, unless err is of kind fault.Unavailable.
func RetryAfter(d time.Duration, err error) error { return &retryError{d, err} }

func retryDelay(err error) time.Duration {
	var r *retryError
	if errors.As(err, &r) {
		return max(r.after, time.Millisecond)
	}
	return 0
}

type snoozeError struct{ after time.Duration }

func (e *snoozeError) Error() string { return "the job is put off for " + e.after.String() }

// Snooze puts the job off for d, at least a millisecond: the handler cannot do
// it yet. It costs no attempt, but a job that was put off 1,000 times fails.
func Snooze(d time.Duration) error { return &snoozeError{max(d, time.Millisecond)} }

func snoozed(err error) time.Duration {
	var s *snoozeError
	if errors.As(err, &s) {
		return s.after
	}
	return 0
}

// unavailableError marks the error of a handler that found something it needs
// unavailable: the job is put off.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

func isUnavailable(err error) bool {
	var u *unavailableError
	return errors.As(err, &u)
}
