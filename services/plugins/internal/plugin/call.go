package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// noAnswer begins the failure of a call that took too long.
const noAnswer = "no answer within "

// failure is an error of a plugin, reduced to a bounded line of text.
type failure string

// Error implements error.
func (f failure) Error() string { return string(f) }

// maxReasonRunes bounds what a plugin may say about its failure.
const maxReasonRunes = 200

// reduce reads an error that a plugin made. It runs inside the guarded call: the
// error's own methods may panic, which fmt catches, or hang.
func reduce(err error) error {
	var refusal Refusal
	switch {
	case err == nil, err == ErrDisabled, err == ErrUnsupported: //nolint:errorlint // a hostile error decides itself what it is
		return err
	case errors.As(err, &refusal):
		return Refusal(cleanReason(string(refusal)))
	default:
		return failure(cleanReason(fmt.Sprint(err)))
	}
}

// cleanReason cuts a text and takes out what would break the list of reasons.
func cleanReason(s string) string {
	var clean strings.Builder
	runes := 0
	for _, r := range s {
		if runes == maxReasonRunes {
			clean.WriteRune('…')
			break
		}
		if r == ';' || unicode.IsControl(r) {
			r = ' '
		}
		clean.WriteRune(r)
		runes++
	}
	return clean.String()
}

// answer is what a call came to.
type answer[T any] struct {
	value T
	err   error
}

// call runs fn, which calls the plugin, in a goroutine of its own and for a
// bounded time. A goroutine that is given up on holds its slot until the plugin
// returns. The error is a [failure], or what [reduce] lets through; when the
// caller's own context ends, it is that context's.
func call[T any](ctx context.Context, s *slots, timeout time.Duration, fn func(context.Context) (T, error)) (T, error) {
	var none T
	if err := s.acquire(ctx); err != nil {
		return none, err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan answer[T], 1)
	turn := &turn{slots: s}
	go func() {
		// This answer stands when the goroutine ends without fn returning.
		a := answer[T]{err: failure("the call ended without returning")}
		defer func() {
			if p := recover(); p != nil {
				a = answer[T]{err: failure(cleanReason("panic: " + fmt.Sprint(p)))}
			}
			turn.end()
			done <- a
		}()
		a = ask(limited, fn)
	}()
	select {
	case a := <-done:
		return a.value, outcomeError(ctx, limited, timeout, a.err)
	case <-limited.Done():
	}
	turn.abandon()
	return none, outcomeError(ctx, limited, timeout, limited.Err())
}

// outcomeError tells the end of the caller's context from that of the time limit
// from the plugin's own failure.
func outcomeError(ctx, limited context.Context, timeout time.Duration, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("run a plugin: %w", context.Cause(ctx))
	case limited.Err() != nil:
		return failure(noAnswer + timeout.String())
	}
	return err
}

func ask[T any](ctx context.Context, fn func(context.Context) (T, error)) answer[T] {
	value, err := fn(ctx)
	if err != nil {
		return answer[T]{err: reduce(err)}
	}
	return answer[T]{value: value}
}
