package door

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
)

const (
	// lookEvery is how often is looked for owners with messages. Looking may take a
	// tenth of the time at most, and lookAtMost bounds the pause.
	lookEvery, lookAtMost = 200 * time.Millisecond, 5 * time.Second
	// maxReaders is how many owners are read at once. Where there are more with
	// messages they take turns.
	maxReaders = 64
	turn       = 500 * time.Millisecond
	// idleAfter is how long an owner without messages is read on.
	idleAfter = 30 * time.Second
)

// ownerTopic begins the topics that are owners.
const ownerTopic = "owner:"

// resolve finds the consumer behind a topic.
func resolve(topic string) (contract.Consumer, error) {
	if owner, ok := strings.CutPrefix(topic, ownerTopic); ok {
		return contract.DoorConsumer(owner), nil
	}
	// The run lease shapes only consumers that are not read here.
	return wmjs.Durables(contract.Consumers(0))(topic)
}

// readers reads each owner's messages apart from those of others. What one owner's
// messages wait for, the limit or a full share of the handlers, no other's do.
type readers struct {
	door    *Door
	sub     *wmjs.Subscriber
	stream  jetstream.Stream
	running map[string]*reader
	// rested says when owners with messages were last read.
	rested  map[string]time.Time
	reading sync.WaitGroup
}

// reader reads one owner.
type reader struct {
	stop  context.CancelFunc
	ended chan struct{}
	// since is when it began, wanted when the owner last had messages.
	since, wanted time.Time
}

// follow reads whoever has messages, until ctx ends.
func (r *readers) follow(ctx context.Context) {
	defer r.reading.Wait()
	for failing := false; ; {
		began := time.Now()
		owners, err := r.owners(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			r.look(ctx, owners, time.Now())
		case !failing:
			r.door.log.Warn().Err(err).Msg("could not look for messages at the NATS door; trying again")
		}
		failing = err != nil
		pause := time.NewTimer(min(max(lookEvery, 10*time.Since(began)), lookAtMost))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// owners are those who have messages to be handled now. One whose messages all have
// a place in a line that is not due is none of them.
func (r *readers) owners(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookAtMost)
	defer cancel()
	info, err := r.stream.Info(ctx, jetstream.WithSubjectFilter(contract.PatternSubmit))
	if err != nil {
		return nil, fmt.Errorf("ask for the subjects of %s: %w", contract.StreamSubmit, err)
	}
	messages := map[string]int{}
	for subject, n := range info.State.Subjects {
		if words := strings.SplitN(subject, ".", 4); len(words) == 4 {
			messages[words[2]] += int(n)
		}
	}
	owners := make(map[string]bool, len(messages))
	for owner, n := range messages {
		if !r.door.lines.allWait(owner, n) {
			owners[owner] = true
		}
	}
	return owners, nil
}

// look begins to read owners with messages, and ends to read others.
func (r *readers) look(ctx context.Context, owners map[string]bool, now time.Time) {
	for owner, one := range r.running {
		select {
		case <-one.ended:
			delete(r.running, owner)
			r.rested[owner] = now
			continue
		default:
		}
		if owners[owner] {
			one.wanted = now
		} else if now.Sub(one.wanted) > idleAfter {
			one.stop()
		}
	}
	var waiting []string
	for owner := range owners {
		if r.running[owner] == nil {
			waiting = append(waiting, owner)
		}
	}
	maps.DeleteFunc(r.rested, func(owner string, _ time.Time) bool { return !owners[owner] })
	slices.SortFunc(waiting, func(a, b string) int { return r.rested[a].Compare(r.rested[b]) })
	free := maxReaders - len(r.running)
	for _, owner := range waiting[:min(free, len(waiting))] {
		r.start(ctx, owner, now)
	}
	if len(waiting) > free {
		r.makeRoom(len(waiting)-free, now)
	}
}

// makeRoom ends up to n readers: those whose owner has no messages, and those that
// had their turn, the longest first.
func (r *readers) makeRoom(n int, now time.Time) {
	all := slices.SortedFunc(maps.Values(r.running), func(a, b *reader) int {
		return cmp.Or(a.wanted.Compare(b.wanted), a.since.Compare(b.since))
	})
	for _, one := range all[:min(n, len(all))] {
		if one.wanted.Before(now) || now.Sub(one.since) >= turn {
			one.stop()
		}
	}
}

func (r *readers) start(ctx context.Context, owner string, now time.Time) {
	one := &reader{ended: make(chan struct{}), since: now, wanted: now}
	ctx, one.stop = context.WithCancel(ctx)
	r.running[owner] = one
	r.reading.Go(func() {
		defer close(one.ended)
		defer one.stop()
		messages, err := r.sub.Subscribe(ctx, ownerTopic+owner)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, wmjs.ErrClosed) {
				r.door.log.Warn().Err(err).Msg("could not read an owner's messages at the NATS door; trying again")
			}
			return
		}
		r.door.serve(messages)
	})
}

// serve handles messages as they come, and returns when all are settled.
func (d *Door) serve(messages <-chan *message.Message) {
	var handling sync.WaitGroup
	for msg := range messages {
		d.slots <- struct{}{}
		handling.Go(func() {
			defer func() { <-d.slots }()
			d.handle(msg)
		})
	}
	handling.Wait()
}
