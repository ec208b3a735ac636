package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/chaos/internal/history"
	"nexus.internal/libs/contract"
)

const (
	fetchMessages = 500
	fetchWait     = time.Second
	// again is how soon reading is tried again.
	again = 300 * time.Millisecond
)

// Events reads every job event from the stream of events, whatever becomes of
// the broker: after each interruption it reads the stream from its beginning,
// and adds to the history what it had not seen.
type Events struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	file *history.File

	mu   sync.Mutex
	seen map[string]history.Event
	// recorded are the jobs of requests of which any event was seen.
	recorded map[string]string
	rejected map[string]bool
}

// NewEvents connects as the user whose key is in keyFile; a server that asks
// nobody who they are takes no key.
func NewEvents(url, keyFile string, file *history.File) (*Events, error) {
	opts := []nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.CustomInboxPrefix(contract.InboxPrefix("admin")),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
	if keyFile != "" {
		key, err := nats.NkeyOptionFromSeed(keyFile)
		if err != nil {
			return nil, fmt.Errorf("read the key for NATS: %w", err)
		}
		opts = append(opts, key)
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &Events{nc: nc, js: js, file: file, seen: map[string]history.Event{}, recorded: map[string]string{}, rejected: map[string]bool{}}, nil
}

// Close ends the connection.
func (e *Events) Close() { e.nc.Close() }

// Run reads until ctx ends.
func (e *Events) Run(ctx context.Context) {
	for ctx.Err() == nil {
		// Why it was interrupted is what the run is about.
		_ = e.read(ctx)
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}

// read reads the stream from its beginning until it is interrupted.
func (e *Events) read(ctx context.Context) error {
	setup, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cons, err := e.js.CreateConsumer(setup, contract.StreamEvents, jetstream.ConsumerConfig{
		FilterSubjects: []string{contract.PatternJobEvents, "nexus.events." + contract.AreaSubmit + ".>"},
		AckPolicy:      jetstream.AckNonePolicy, InactiveThreshold: 30 * time.Second, MemoryStorage: true,
	})
	if err != nil {
		return fmt.Errorf("open the stream of events: %w", err)
	}
	for ctx.Err() == nil {
		got, err := cons.Fetch(fetchMessages, jetstream.FetchMaxWait(fetchWait))
		if err != nil {
			return fmt.Errorf("fetch events: %w", err)
		}
		for msg := range got.Messages() {
			e.take(msg.Data())
		}
		if err := got.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return fmt.Errorf("fetch events: %w", err)
		}
	}
	return nil
}

func (e *Events) take(data []byte) {
	pack, err := contract.DecodeEvents(data)
	if err != nil {
		return
	}
	for _, one := range pack {
		if strings.HasPrefix(one.Type, "nexus."+contract.AreaSubmit+".") {
			e.reject(one)
			continue
		}
		event, err := eventOf(one.ID, one.RequestID, one.Data)
		if err != nil {
			continue
		}
		e.mu.Lock()
		before, known := e.seen[event.ID]
		e.seen[event.ID] = event
		e.recorded[event.RequestID] = event.JobID
		e.mu.Unlock()
		if !known || before.Status != event.Status || before.Attempt != event.Attempt {
			e.file.Add(history.Record{Event: &event})
		}
	}
}

func (e *Events) reject(one contract.Event) {
	var r contract.Rejection
	if json.Unmarshal(one.Data, &r) != nil {
		return
	}
	e.mu.Lock()
	known := e.rejected[one.ID]
	e.rejected[one.ID] = true
	e.mu.Unlock()
	if !known {
		e.file.Add(history.Record{Rejection: &history.Rejection{Key: one.RequestID, Code: r.Code, Detail: r.Detail}})
	}
}

// Recorded returns the job that was recorded for a request, "" when none was
// seen.
func (e *Events) Recorded(requestID string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recorded[requestID]
}

// Seen counts the events.
func (e *Events) Seen() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen)
}

// eventOf reads the data of a job event. The id of a recovery is that of the
// change it caused, and a word.
func eventOf(id, requestID string, data []byte) (history.Event, error) {
	jobID, rest, _ := strings.Cut(id, "/")
	number, word, extra := strings.Cut(rest, "/")
	version, err := strconv.Atoi(number)
	if err != nil || extra && word != contract.WhatStaleLease {
		return history.Event{}, fmt.Errorf("%q is not the id of a job event", id)
	}
	event := history.Event{ID: id, JobID: jobID, Version: version, RequestID: requestID}
	if extra {
		event.Recovery = &contract.StaleLease{}
		if err := json.Unmarshal(data, event.Recovery); err != nil {
			return event, fmt.Errorf("read the recovery %s: %w", id, err)
		}
		return event, nil
	}
	var change contract.JobChange
	if err := json.Unmarshal(data, &change); err != nil {
		return event, fmt.Errorf("read the event %s: %w", id, err)
	}
	event.JobID, event.Status, event.Version, event.Attempt, event.Worker = change.JobID, change.Status, change.Version, change.Attempt, change.Worker
	return event, nil
}
