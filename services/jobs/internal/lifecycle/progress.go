package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/services/jobs/internal/store"
)

const (
	// progressEvery is the least time between two progress events of a job.
	progressEvery = time.Second
	// maxPaced bounds the memory of when events went out.
	maxPaced = 10_000
)

// pace remembers when the last progress event of a job went out.
type pace struct {
	mu   sync.Mutex
	last map[uuid.UUID]time.Time
}

// allows reports whether another event of a job may go out.
func (p *pace) allows(id uuid.UUID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.last[id]; ok && now.Sub(last) < progressEvery {
		return false
	}
	if len(p.last) >= maxPaced {
		clear(p.last)
	}
	p.last[id] = now
	return true
}

// progress records what runs say of how far they have come, and tells those who
// watch. What does not make sense, or comes from a lease that is gone, is passed
// over.
func (s *Service) progress(ctx context.Context, req contract.HeartbeatRequest) error {
	if err := checkBatch(len(req.Progress)); err != nil {
		return err
	}
	said := make([]store.ProgressOf, 0, len(req.Progress))
	for _, p := range req.Progress {
		lease, err := parseLease(contract.LeaseRef{JobID: p.JobID, LeaseToken: p.LeaseToken}, req.Worker)
		if err != nil || !(p.Percent >= 0 && p.Percent <= 100) {
			continue
		}
		text := strings.ReplaceAll(strings.ToValidUTF8(p.Message, ""), "\x00", "")
		said = append(said, store.ProgressOf{JobID: lease.JobID, Token: lease.Token, Percent: p.Percent, Message: contract.Cut(text, contract.MaxProgressMessage)})
	}
	if len(said) == 0 {
		return nil
	}
	types, err := s.store.SetProgress(ctx, said)
	if err != nil {
		return err
	}
	var messages []bus.Message
	for _, p := range said {
		jobType, ok := types[p.JobID]
		if !ok || !s.pace.allows(p.JobID, s.now()) {
			continue
		}
		m, err := progressMessage(p, jobType, req.Worker, s.now().UTC())
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil
	}
	if err := s.events.Publish(ctx, messages...); err != nil {
		s.log.Debug().Err(err).Msg("could not tell how far jobs have come")
	}
	return nil
}

func progressMessage(p store.ProgressOf, jobType, worker string, now time.Time) (bus.Message, error) {
	data, err := json.Marshal(contract.ProgressChange{JobID: p.JobID.String(), JobType: jobType, Percent: p.Percent, Message: p.Message})
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode the progress of job %s: %w", p.JobID, err)
	}
	return bus.EventMessage(contract.AreaJob, contract.WhatProgress, jobType, contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaJob, contract.WhatProgress), Time: now, Source: "nexus.jobs", Actor: worker, Data: data,
	})
}
