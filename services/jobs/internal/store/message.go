package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

// source names this service in the events it writes.
const source = "nexus.jobs"

// jobEvents turns changed jobs into event messages: one pack for each state
// and type, as few packs as their size allows.
func jobEvents(jobs []changed, now time.Time) ([]bus.Message, error) {
	type key struct{ status, jobType string }
	groups := map[key][]contract.Event{}
	var order []key
	for _, c := range jobs {
		k := key{c.Status, c.JobType}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], jobEvent(c, now))
	}
	var out []bus.Message
	for _, k := range order {
		for events := groups[k]; len(events) > 0; {
			n := min(len(events), contract.MaxEventsPerMessage)
			m, err := bus.EventMessage(contract.AreaJob, k.status, k.jobType, events[:n]...)
			if err != nil {
				return nil, err
			}
			out = append(out, m)
			events = events[n:]
		}
	}
	return out, nil
}

func jobEvent(c changed, now time.Time) contract.Event {
	id := c.ID.String()
	data := contract.JobChange{
		JobID: id, JobType: c.JobType, Status: contract.Status(c.Status), Attempt: c.Attempt, MaxAttempts: c.MaxAttempts,
		Version: c.Version, CreatedBy: c.CreatedBy, Worker: c.Worker, ErrorText: contract.Cut(c.ErrorText, contract.MaxEventText), NextRunAt: c.NextRunAt,
		Webhook: c.Hooked != nil && *c.Hooked,
	}.Encode()
	actor := c.Actor
	if actor == "" {
		actor = c.CreatedBy
	}
	return contract.Event{
		ID: contract.JobEventID(id, c.Version), Type: contract.EventType(contract.AreaJob, c.Status),
		Time: now, Source: source, Actor: actor, RequestID: deref(c.RequestID), TraceParent: c.happenedIn(), Data: data,
	}
}

// happenedIn is the trace of a change: that of the submit until the end of the first
// run, then that of the run which ended, where one did.
func (c changed) happenedIn() string {
	if c.Version <= firstRun+1 {
		return deref(c.TraceParent)
	}
	return c.runTrace
}

// Dispatch is a job that is ready to be run.
type Dispatch struct {
	JobID       uuid.UUID
	Type        contract.JobType
	Priority    string
	TraceParent string
}

// runMessages turns ready jobs into run messages, up to perMessage of them in
// one; zero means as many as the job's type allows.
func runMessages(jobs []Dispatch, perMessage int) ([]bus.Message, error) {
	type key struct{ jobType, priority string }
	groups := map[key][]Dispatch{}
	var order []key
	for _, d := range jobs {
		k := key{d.Type.Name, d.Priority}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], d)
	}
	var out []bus.Message
	for _, k := range order {
		group := groups[k]
		limit := min(max(1, group[0].Type.RunsPerMessage), contract.MaxRunsPerMessage)
		if perMessage > 0 {
			limit = min(limit, perMessage)
		}
		for len(group) > 0 {
			n := min(len(group), limit)
			m, err := runMessage(group[:n])
			if err != nil {
				return nil, err
			}
			out = append(out, m)
			group = group[n:]
		}
	}
	return out, nil
}

func runMessage(jobs []Dispatch) (bus.Message, error) {
	first := jobs[0]
	subject, err := contract.RunSubject(first.Type.Queue, first.Priority, first.Type.Name, first.JobID.String())
	if err != nil {
		return bus.Message{}, fmt.Errorf("name a run message: %w", err)
	}
	run := contract.RunMessage{JobIDs: make([]string, len(jobs))}
	for i, d := range jobs {
		run.JobIDs[i] = d.JobID.String()
	}
	body, err := json.Marshal(run)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode a run message: %w", err)
	}
	return bus.Message{Subject: subject, Type: contract.TypeRun, TraceParent: first.TraceParent, Body: body}, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func derefInt(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// present is true or nil.
func present(ok bool) *bool {
	if !ok {
		return nil
	}
	return &ok
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
