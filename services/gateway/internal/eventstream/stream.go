package eventstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"nexus.internal/libs/contract"
)

// maxBacklog bounds the messages that are read to find what a job has been
// through since a client left; beyond it the client gets a snapshot.
const maxBacklog = 20 * batch

// Stream is one client's way through the events. It is not safe for concurrent
// use, except for Close.
type Stream struct {
	hub    *Hub
	filter Filter
	queue  []Event
	// at is behind everything that was handed over or passed over.
	at Position
	// sub is nil while the stream goes through what is stored.
	sub *subscription
	// job is set for the stream of one job.
	job *following
}

// following is what the stream of one job remembers.
type following struct {
	// since is when the snapshot was true: what happened until then is in it.
	since time.Time
	// seen are the events handed over; each may be published more than once.
	seen map[string]struct{}
	over bool
}

// Open starts a stream: behind the event from, or with what happens from now on
// when from is nil. Close must be called.
func (h *Hub) Open(ctx context.Context, filter Filter, from *Position) (*Stream, error) {
	s := &Stream{hub: h, filter: filter}
	if from == nil {
		return s, s.goLive(ctx)
	}
	kept, err := s.resume(ctx, *from)
	if err == nil && !kept {
		err = s.fromOldest(ctx, *from)
	}
	return s, err
}

// resume takes up a stream behind an event, and reports whether the stream
// still knows the place.
func (s *Stream) resume(ctx context.Context, from Position) (kept bool, err error) {
	s.at = from
	if from.Sequence == 0 {
		return true, nil
	}
	// The message of the event itself is looked for: if it is there, so is all
	// that follows.
	next, err := s.hub.stored.next(ctx, from.Sequence)
	if errors.Is(err, errNone) {
		return false, nil
	}
	return next == from.Sequence, err
}

// fromOldest starts at the oldest event that is kept, and says that there is a
// gap before it.
func (s *Stream) fromOldest(ctx context.Context, from Position) error {
	oldest, err := s.hub.stored.next(ctx, 1)
	if errors.Is(err, errNone) {
		oldest, err = 1, nil
	}
	if err != nil {
		return err
	}
	return s.gap(from, endOf(oldest-1))
}

// gap queues the news that what lies between two places is not told.
func (s *Stream) gap(from, to Position) error {
	data, err := json.Marshal(map[string]string{"requested": from.String(), "resumed_after": to.String()})
	if err != nil {
		return fmt.Errorf("encode a gap: %w", err)
	}
	s.at = to
	s.queue = append(s.queue, Event{At: to, Type: TypeGap, Data: data})
	return nil
}

// goLive joins the live events; everything stored before belongs to the past.
func (s *Stream) goLive(ctx context.Context) error {
	sub, next, err := s.hub.join(ctx, s.filter)
	if err != nil {
		return err
	}
	s.sub, s.at = sub, endOf(next-1)
	return nil
}

// OpenJob starts the stream of one job. It tells first where the job is: with
// what happened since the event from, or with a snapshot when from is nil or
// too long ago. get reads the job.
func (h *Hub) OpenJob(ctx context.Context, jobType, jobID string, from *Position, get func(context.Context) (contract.Job, error)) (*Stream, error) {
	filter := Filter{Areas: []string{contract.AreaJob}, JobType: jobType, JobID: jobID}
	s := &Stream{hub: h, filter: filter, job: &following{seen: map[string]struct{}{}}}
	// Live first: what happens while the job is read is not missed.
	if err := s.goLive(ctx); err != nil {
		return s, err
	}
	if from != nil {
		told, err := s.catchUp(ctx, *from)
		if err != nil || s.job.over {
			return s, err
		}
		if told {
			return s, s.endIfOver(ctx, get)
		}
	}
	job, err := get(ctx)
	if err != nil {
		return s, err
	}
	return s, s.snapshot(job)
}

// catchUp queues what happened to the job between an event and now, and reports
// whether it could.
func (s *Stream) catchUp(ctx context.Context, from Position) (bool, error) {
	live := s.at
	kept, err := s.resume(ctx, from)
	switch {
	case err != nil:
		return false, err
	case !kept:
		return false, s.gap(from, live)
	}
	for read := 0; read < maxBacklog; read += batch {
		more, err := s.backlog(ctx, live)
		if err != nil {
			return false, err
		}
		if !more {
			if s.at.before(live) {
				s.at = live
			}
			return true, nil
		}
	}
	s.queue, s.job.seen = nil, map[string]struct{}{}
	return false, s.gap(from, live)
}

// endIfOver ends the stream of a job whose end the client was told before.
func (s *Stream) endIfOver(ctx context.Context, get func(context.Context) (contract.Job, error)) error {
	job, err := get(ctx)
	if err != nil || !job.Status.Finished() {
		return err
	}
	return s.snapshot(job)
}

// snapshot queues the state of a job, and the end if it is over.
func (s *Stream) snapshot(job contract.Job) error {
	data, err := contract.Encode(job.JobSummary)
	if err != nil {
		return fmt.Errorf("encode a snapshot: %w", err)
	}
	event, err := item{at: s.at, event: contract.Event{
		ID: job.JobID + "/" + WhatSnapshot, Type: contract.EventType(contract.AreaJob, WhatSnapshot), Time: job.UpdatedAt, Source: "nexus.gateway", Actor: job.CreatedBy, Data: data,
	}}.encode()
	if err != nil {
		return err
	}
	s.job.since = job.UpdatedAt
	s.queue = append(s.queue, event)
	if job.Status.Finished() {
		return s.end(job.JobID, job.Status)
	}
	return nil
}

func (s *Stream) end(jobID string, status contract.Status) error {
	data, err := json.Marshal(map[string]string{"job_id": jobID, "status": string(status)})
	if err != nil {
		return fmt.Errorf("encode the end: %w", err)
	}
	s.job.over = true
	s.queue = append(s.queue, Event{At: s.at, Type: TypeEnd, Data: data})
	return nil
}

// backlog queues the next stored events up to and including the place until;
// more says that there is more to read.
func (s *Stream) backlog(ctx context.Context, until Position) (more bool, err error) {
	messages, more, err := s.hub.stored.read(ctx, s.filter.subject(), s.at.Sequence)
	if err != nil {
		return false, err
	}
	for _, m := range messages {
		if until.before(Position{m.sequence, 0}) {
			return false, nil
		}
		for _, it := range decode(m) {
			if err := s.take(it); err != nil {
				return false, err
			}
		}
		if s.at.before(endOf(m.sequence)) {
			s.at = endOf(m.sequence)
		}
	}
	return more, nil
}

// take queues an event that is wanted and new. In the stream of a job, what the
// client had before is remembered on the way, for it may have been published twice.
func (s *Stream) take(it item) error {
	if !s.filter.wants(it) || s.job != nil && !s.job.news(it) || !s.at.before(it.at) {
		return nil
	}
	event, err := it.encode()
	if err != nil {
		return err
	}
	s.at = it.at
	s.queue = append(s.queue, event)
	if s.job != nil && it.ends() {
		return s.end(it.change.JobID, it.change.Status)
	}
	return nil
}

// ends reports whether the event is the end of its job.
func (it item) ends() bool { return it.change.Status.Finished() && it.what == string(it.change.Status) }

func (f *following) news(it item) bool {
	if f.over || it.what == string(it.change.Status) && !it.event.Time.After(f.since) {
		return false
	}
	if _, known := f.seen[it.event.ID]; known {
		return false
	}
	f.seen[it.event.ID] = struct{}{}
	return true
}

// Next returns the next events, at least one, or io.EOF behind the last of a
// job's, ErrBehind when the client has been too slow, or the error of ctx when
// it ends first. The latter loses nothing: Next may be called again.
func (s *Stream) Next(ctx context.Context) ([]Event, error) {
	for len(s.queue) == 0 {
		if s.job != nil && s.job.over {
			return nil, io.EOF
		}
		if err := s.advance(ctx); err != nil {
			return nil, err
		}
	}
	out := s.queue
	s.queue = nil
	return out, nil
}

func (s *Stream) advance(ctx context.Context) error {
	if s.sub == nil {
		return s.approach(ctx)
	}
	select {
	case it, ok := <-s.sub.ch:
		if !ok {
			return ErrBehind
		}
		return s.take(it)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// approach goes through what is stored. Near the end it joins the live events
// and reads what lies between, so that nothing is missed and nothing comes
// twice.
func (s *Stream) approach(ctx context.Context) error {
	more, err := s.backlog(ctx, endOf(1<<63))
	if err != nil || more {
		return err
	}
	sub, next, err := s.hub.join(ctx, s.filter)
	if err != nil {
		return err
	}
	for more := true; more; {
		if more, err = s.backlog(ctx, endOf(next-1)); err != nil {
			s.hub.leave(sub)
			return err
		}
	}
	s.sub = sub
	return nil
}

// Close ends the stream.
func (s *Stream) Close() {
	if s.sub != nil {
		s.hub.leave(s.sub)
	}
}
