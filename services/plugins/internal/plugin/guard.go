package plugin

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"nexus.internal/libs/contract"
)

// guard calls one plugin in a goroutine of its own, for a bounded time. The
// goroutines of calls that are given up on live until the plugin returns; once
// there are as many as allowed, further calls are refused.
type guard struct {
	plugin       Plugin
	name         string
	version      string
	modalities   []contract.Modality
	timeout      time.Duration
	maxAbandoned int64
	abandoned    atomic.Int64
}

// failure is an error of a plugin, reduced to a bounded line of text.
type failure string

// Error implements error.
func (f failure) Error() string { return string(f) }

// maxReasonRunes bounds what a plugin may say about its failure.
const maxReasonRunes = 200

// failureOf reads an error that a plugin made. It runs inside the guarded call:
// the error's own methods may panic, which fmt catches, or hang.
func failureOf(err error) failure { return failure(cleanReason(fmt.Sprint(err))) }

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

// The two ends of a call; whoever comes first decides.
const (
	callRunning int32 = iota
	callReturned
	callAbandoned
)

// call runs fn, which calls the plugin, and returns its value or a [failure].
// When the caller's own context ends, the error is that context's.
func call[T any](ctx context.Context, g *guard, fn func(context.Context) (T, error)) (T, error) {
	var none T
	if n := g.abandoned.Load(); n >= g.maxAbandoned {
		return none, failure(fmt.Sprintf("%d calls have not returned", n))
	}
	limited, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	done := make(chan answer[T], 1)
	var state atomic.Int32
	go func() {
		// This answer stands when the goroutine ends without fn returning.
		a := answer[T]{err: failure("the call ended without returning")}
		defer func() {
			if p := recover(); p != nil {
				a = answer[T]{err: failure(cleanReason("panic: " + fmt.Sprint(p)))}
			}
			if !state.CompareAndSwap(callRunning, callReturned) {
				g.abandoned.Add(-1)
			}
			done <- a
		}()
		a = ask(limited, fn)
	}()
	select {
	case a := <-done:
		return a.value, outcomeError(ctx, limited, g.timeout, a.err)
	case <-limited.Done():
	}
	g.abandoned.Add(1)
	if !state.CompareAndSwap(callRunning, callAbandoned) {
		g.abandoned.Add(-1)
	}
	return none, outcomeError(ctx, limited, g.timeout, limited.Err())
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
		return failure(fmt.Sprintf("no answer within %s", timeout))
	}
	return err
}

func ask[T any](ctx context.Context, fn func(context.Context) (T, error)) answer[T] {
	value, err := fn(ctx)
	if err != nil {
		return answer[T]{err: failureOf(err)}
	}
	return answer[T]{value: value}
}
