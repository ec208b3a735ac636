// Package batch groups work the natural way: it takes what is waiting, flushes
// it, and meanwhile the next group gathers by itself. There is no timer, so an
// idle system adds no delay and a loaded one pays each commit once for many.
package batch

import (
	"context"
	"errors"
	"sync"
)

// ErrStopped is returned by Add once the batcher has stopped.
var ErrStopped = errors.New("batcher has stopped")

// Options configure a Batcher.
type Options[T any] struct {
	// Max is the most items of one flush.
	Max int
	// MaxWeight bounds the summed weight of one flush; zero means no bound. A
	// single item heavier than that is flushed alone.
	MaxWeight int
	// Weigh is the weight of an item; needed with MaxWeight.
	Weigh func(T) int
	// Writers is how many flushes may be under way at once; at least 1.
	Writers int
	// Flush handles a group. The slice is the callee's to keep.
	Flush func(ctx context.Context, items []T)
}

// Batcher hands items to Flush in groups.
type Batcher[T any] struct {
	opts Options[T]
	in   chan T
	stop chan struct{}
	// adding is held, shared, by every Add under way, so that the last drain
	// comes after the last of them.
	adding  sync.RWMutex
	stopped bool
}

// New makes a batcher. It accepts items at once and flushes while Run runs.
func New[T any](opts Options[T]) *Batcher[T] {
	opts.Writers = max(1, opts.Writers)
	opts.Max = max(1, opts.Max)
	return &Batcher[T]{opts: opts, in: make(chan T, 2*opts.Max), stop: make(chan struct{})}
}

// Add hands over an item. It waits while too many are waiting already.
func (b *Batcher[T]) Add(ctx context.Context, item T) error {
	b.adding.RLock()
	defer b.adding.RUnlock()
	if b.stopped {
		return ErrStopped
	}
	select {
	case b.in <- item:
		return nil
	case <-b.stop:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run flushes until ctx ends, then flushes what is still waiting and returns.
// Flush is called under a context that the end of ctx does not cancel, so that
// a group that was taken is also written.
func (b *Batcher[T]) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range b.opts.Writers {
		wg.Go(func() { b.write(ctx) })
	}
	<-ctx.Done()
	close(b.stop)
	wg.Wait()
	b.adding.Lock()
	b.stopped = true
	b.adding.Unlock()
	b.drain(context.WithoutCancel(ctx))
}

func (b *Batcher[T]) write(ctx context.Context) {
	flushCtx := context.WithoutCancel(ctx)
	for {
		select {
		case first := <-b.in:
			b.flush(flushCtx, first)
		case <-ctx.Done():
			return
		}
	}
}

// flush writes first with what is waiting behind it, and whatever did not fit.
func (b *Batcher[T]) flush(ctx context.Context, first T) {
	for next := &first; next != nil; {
		var group []T
		group, next = b.gather(*next)
		b.opts.Flush(ctx, group)
	}
}

// gather takes what is waiting behind first. An item that would exceed the
// weight is returned as the start of the next group.
func (b *Batcher[T]) gather(first T) (group []T, next *T) {
	group = append(make([]T, 0, min(b.opts.Max, 1+len(b.in))), first)
	weight := b.weigh(first)
	for len(group) < b.opts.Max {
		select {
		case item := <-b.in:
			weight += b.weigh(item)
			if b.opts.MaxWeight > 0 && weight > b.opts.MaxWeight {
				return group, &item
			}
			group = append(group, item)
		default:
			return group, nil
		}
	}
	return group, nil
}

func (b *Batcher[T]) weigh(item T) int {
	if b.opts.MaxWeight <= 0 {
		return 0
	}
	return b.opts.Weigh(item)
}

func (b *Batcher[T]) drain(ctx context.Context) {
	for {
		select {
		case first := <-b.in:
			b.flush(ctx, first)
		default:
			return
		}
	}
}
