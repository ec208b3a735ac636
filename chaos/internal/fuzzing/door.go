package fuzzing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/chaos/internal/hostile"
	"nexus.internal/chaos/internal/verdict"
	"nexus.internal/libs/contract"
)

const (
	receiptWithin = 5 * time.Second
	// heardWithin is how long a sender may wait for what became of a message,
	// once nothing more is sent.
	heardWithin = 30 * time.Second
)

// door publishes messages as an outsider, and listens as one for what became
// of them.
type door struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	owner string

	mu sync.Mutex
	// waiting are messages with a receipt that nothing was heard of, by their
	// place in the stream; ids leads there from their request ids.
	waiting map[uint64]sentMessage
	ids     map[string]uint64
	// early are answers that were heard before the receipt.
	earlyIDs    map[string]bool
	earlyPlaces map[uint64]bool
	receipts    uint64
	changed     chan struct{}
}

type sentMessage struct {
	number  uint64
	message hostile.Message
}

func openDoor(url, owner, key string) (*door, error) {
	d := &door{owner: owner, waiting: map[uint64]sentMessage{}, ids: map[string]uint64{}, earlyIDs: map[string]bool{}, earlyPlaces: map[uint64]bool{}, changed: make(chan struct{}, 1)}
	var err error
	d.nc, err = nats.Connect(url, nats.Token(key), nats.CustomInboxPrefix(contract.InboxPrefix(owner)), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.IgnoreAuthErrorAbort(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, fmt.Errorf("connect to the NATS door: %w", err)
	}
	if d.js, err = jetstream.New(d.nc); err != nil {
		d.nc.Close()
		return nil, fmt.Errorf("open JetStream at the NATS door: %w", err)
	}
	for _, subject := range []string{"nexus.events." + contract.AreaJob + ".>", "nexus.events." + contract.AreaSubmit + "." + contract.WhatRejected + "." + owner} {
		sub, err := d.nc.Subscribe(subject, d.hear)
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			d.nc.Close()
			return nil, fmt.Errorf("listen to events: %w", err)
		}
	}
	return d, nil
}

func (d *door) close() { d.nc.Close() }

func (d *door) published() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.receipts
}

// publish sends a message and remembers it until something is heard of it. That
// the server refuses it is fine.
func (d *door) publish(ctx context.Context, m hostile.Message, number uint64, found *findings) {
	msg := &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Body}
	ctx, cancel := context.WithTimeout(ctx, receiptWithin)
	defer cancel()
	ack, err := d.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if err != nil || ack.Duplicate {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.receipts++
	if d.earlyPlaces[ack.Sequence] || m.RequestID != "" && d.earlyIDs[m.RequestID] {
		delete(d.earlyPlaces, ack.Sequence)
		delete(d.earlyIDs, m.RequestID)
		return
	}
	// A repeat under an idempotency key makes no event, and without its own
	// request id nobody knows a job's events for those of the message.
	if m.RequestID == "" || bytes.Contains(bytes.ToLower(m.Body), []byte("idempotency")) || bytes.Contains(m.Body, []byte(`\u`)) {
		return
	}
	d.waiting[ack.Sequence] = sentMessage{number, m}
	d.ids[m.RequestID] = ack.Sequence
}

// hear notes what became of messages.
func (d *door) hear(msg *nats.Msg) {
	events, err := contract.DecodeEvents(msg.Data)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		if e.Type == contract.EventType(contract.AreaSubmit, contract.WhatRejected) {
			var r contract.Rejection
			if json.Unmarshal(e.Data, &r) == nil {
				d.settle(r.Sequence, "")
			}
		}
		d.settle(d.ids[e.RequestID], e.RequestID)
	}
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *door) settle(place uint64, requestID string) {
	if m, ok := d.waiting[place]; ok {
		delete(d.waiting, place)
		delete(d.ids, m.message.RequestID)
		return
	}
	if place != 0 {
		d.earlyPlaces[place] = true
	}
	if requestID != "" {
		d.earlyIDs[requestID] = true
	}
}

// await waits until everything was heard of, and adds what was not.
func (d *door) await(ctx context.Context, found *findings) {
	ctx, cancel := context.WithTimeout(ctx, heardWithin)
	defer cancel()
	for d.left() > 0 {
		select {
		case <-d.changed:
			continue
		case <-ctx.Done():
		}
		break
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.waiting {
		found.add(Finding{
			Number: m.number, What: "a message", Problem: "it has a receipt, and its sender heard nothing more",
			Again: fmt.Sprintf("subject %s, header %q, body %s", verdict.Short([]byte(m.message.Subject)), m.message.Header, verdict.Short(m.message.Body)),
		})
	}
}

func (d *door) left() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting)
}
