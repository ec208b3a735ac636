// Package batch groups work the natural way: it takes what is waiting, flushes
// it, and meanwhile the next group gathers by itself. An idle system adds no delay
// and a loaded one pays each commit once for many.
//
// Work that arrives one piece after the other would still be flushed in many small
// groups where the processor, and not the disk, is what everybody waits for. So a
// writer that has just flushed a group rests before the next one, for as long as
// that flush took at most; and work that nobody waits for can linger.
package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"nexus.internal/libs/fault"
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
	// Weigh is the weight of an item; without it each weighs one.
	Weigh func(T) int
	// Rest is the most a writer rests after a flush of more than one item, or of
	// more weight than one where items are weighed; zero means that it never does.
	Rest time.Duration
	// Linger is how long an item may wait for others to be flushed with; zero
	// means not at all.
	Linger time.Duration
	// Writers is how many flushes may be under way at once; at least 1.
	Writers int
	// Flush handles a group. The slice is the callee's to keep.
	Flush func(ctx context.Context, items []T)
	// Repeatable says that Flush may be called again with the items of a group that
	// it panicked on, one at a time, to find the one that is to blame.
	Repeatable bool
	// Spoiled is told of each item that Flush panicked on, and why; what the item
	// stood for must be answered there. A panic ends neither the batcher nor the
	// process.
	Spoiled func(ctx context.Context, item T, err error)
}

// Batcher hands items to Flush in groups.
type Batcher[T any] struct {
	opts Options[T]
	in   chan T
	stop chan struct{}
	// full says that a full group may be waiting.
	full chan struct{}
	// adding is held, shared, by every Add under way, so that the last drain
	// comes after the last of them.
	adding  sync.RWMutex
	stopped bool
}

// New makes a batcher. It accepts items at once and flushes while Run runs.
func New[T any](opts Options[T]) *Batcher[T] {
	opts.Writers = max(1, opts.Writers)
	opts.Max = max(1, opts.Max)
	return &Batcher[T]{opts: opts, in: make(chan T, 2*opts.Max), stop: make(chan struct{}), full: make(chan struct{}, 1)}
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
		if len(b.in) >= b.opts.Max {
			select {
			case b.full <- struct{}{}:
			default:
			}
		}
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
			b.linger(ctx)
			start := time.Now()
			if b.flush(flushCtx, first) > 1 {
				b.wait(ctx, min(time.Since(start), b.opts.Rest))
			}
		case <-ctx.Done():
			return
		}
	}
}

// linger lets items gather behind the first.
func (b *Batcher[T]) linger(ctx context.Context) { b.wait(ctx, b.opts.Linger) }

// wait passes some time, less when there is a full group waiting by then.
func (b *Batcher[T]) wait(ctx context.Context, d time.Duration) {
	if d <= 0 || len(b.in) >= b.opts.Max {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.full:
	case <-ctx.Done():
	}
}

// flush writes first with what is waiting behind it, and whatever did not fit,
// and returns the weight of the last group.
func (b *Batcher[T]) flush(ctx context.Context, first T) (weight int) {
	for next := &first; next != nil; {
		var group []T
		group, weight, next = b.gather(*next)
		b.guard(ctx, group)
	}
	return weight
}

// guard flushes a group, and finds out what a panic was about.
func (b *Batcher[T]) guard(ctx context.Context, group []T) {
	err := b.try(ctx, slices.Clone(group))
	if err == nil {
		return
	}
	for _, item := range group {
		why := err
		if b.opts.Repeatable && len(group) > 1 {
			why = b.try(ctx, []T{item})
		}
		if why != nil && b.opts.Spoiled != nil {
			b.opts.Spoiled(ctx, item, why)
		}
	}
}

func (b *Batcher[T]) try(ctx context.Context, group []T) error {
	return fault.Guard(func() error {
		b.opts.Flush(ctx, group)
		return nil
	})
}

// gather takes what is waiting behind first. An item that would exceed the
// weight is returned as the start of the next group.
func (b *Batcher[T]) gather(first T) (group []T, weight int, next *T) {
	group = append(make([]T, 0, min(b.opts.Max, 1+len(b.in))), first)
	weight = b.weigh(first)
	for len(group) < b.opts.Max {
		select {
		case item := <-b.in:
			w := b.weigh(item)
			if b.opts.MaxWeight > 0 && weight+w > b.opts.MaxWeight {
				return group, weight, &item
			}
			group, weight = append(group, item), weight+w
		default:
			return group, weight, nil
		}
	}
	return group, weight, nil
}

func (b *Batcher[T]) weigh(item T) int {
	if b.opts.Weigh == nil {
		return 1
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
