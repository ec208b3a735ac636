// Package loglevel asks every service of every process how much it logs, and tells
// them to log more or less.
package loglevel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

const (
	// Nobody knows how many will answer: the answers are over when none has come
	// for quiet, and at last after patience.
	quiet    = 400 * time.Millisecond
	patience = 3 * time.Second
	// maxAnswers bounds them.
	maxAnswers = 1000
)

// Publisher publishes events.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Levels are the log levels of the platform.
type Levels struct {
	nc  *nats.Conn
	pub Publisher
	now func() time.Time
}

// New makes them.
func New(nc *nats.Conn, pub Publisher, now func() time.Time) *Levels {
	return &Levels{nc: nc, pub: pub, now: now}
}

// Read asks for the levels of a service, or of all where it is empty.
func (l *Levels) Read(ctx context.Context, service string) (contract.LogLevels, error) {
	return l.ask(ctx, contract.LogLevelRequest{Service: service})
}

// Set changes the level of a service, or of all where it is empty, and returns what
// those say that did. Nothing is changed that the audit trail does not learn of.
func (l *Levels) Set(ctx context.Context, by contract.Asker, service, level string) (contract.LogLevels, error) {
	if err := telemetry.CheckLevel(level); err != nil {
		return contract.LogLevels{}, fault.Unprocessablef("%s", err)
	}
	event, err := l.event(ctx, by, cmp.Or(service, contract.AllServices), level)
	if err != nil {
		return contract.LogLevels{}, err
	}
	if err := l.pub.Publish(ctx, event); err != nil {
		return contract.LogLevels{}, fmt.Errorf("tell of a changed log level: %w", err)
	}
	return l.ask(ctx, contract.LogLevelRequest{Service: service, Level: level})
}

func (l *Levels) event(ctx context.Context, by contract.Asker, service, level string) (bus.Message, error) {
	data, err := json.Marshal(contract.LogLevelChange{Service: service, Level: level})
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode a changed log level: %w", err)
	}
	return bus.EventMessage(contract.AreaLog, contract.WhatLevel, service, contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(contract.AreaLog, contract.WhatLevel), Time: l.now().UTC(), Source: "nexus.gateway",
		Actor: by.Actor, RequestID: by.RequestID, TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
}

func (l *Levels) ask(ctx context.Context, req contract.LogLevelRequest) (contract.LogLevels, error) {
	out := contract.LogLevels{Services: []contract.LogLevel{}}
	inbox := l.nc.NewInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return out, fmt.Errorf("listen for log levels: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	body, err := contract.Encode(req)
	if err == nil {
		err = l.nc.PublishRequest(contract.SubjectLogLevel, inbox, body)
	}
	if err != nil {
		return out, fault.Wrap(fault.Unavailable, err, "The message broker does not answer now.")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for len(out.Services) < maxAnswers {
		said, err := next(ctx, sub)
		if err != nil {
			break
		}
		out.Services = append(out.Services, said)
	}
	if len(out.Services) == 0 {
		return out, fault.Unavailablef("No process of that service answers now.")
	}
	slices.SortFunc(out.Services, func(a, b contract.LogLevel) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
	})
	return out, nil
}

var errNobody = errors.New("nobody listens")

// next is the next answer; an error says that there is none.
func next(ctx context.Context, sub *nats.Subscription) (said contract.LogLevel, err error) {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	msg, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return said, fmt.Errorf("wait for log levels: %w", err)
	}
	if len(msg.Data) == 0 {
		return said, errNobody
	}
	if err := contract.Decode(msg.Data, &said); err != nil {
		return said, fmt.Errorf("decode a log level: %w", err)
	}
	return said, nil
}
