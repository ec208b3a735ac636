package eventstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/contract"
)

const (
	// batch is how many messages one read asks for; batchBytes how much of them.
	batch      = 256
	batchBytes = 4 << 20
	// readWithin bounds one read.
	readWithin = 5 * time.Second
)

// message is one stored message.
type message struct {
	sequence uint64
	subject  string
	data     []byte
}

// log reads what the event stream has stored. It makes nothing on the server:
// reading is all that its rights allow.
type log struct{ nc *nats.Conn }

// directGet is a request to DIRECT.GET; the names are the server's.
type directGet struct {
	Sequence    uint64 `json:"seq,omitempty"`
	Batch       int    `json:"batch,omitempty"`
	MaxBytes    int    `json:"max_bytes,omitempty"`
	NextSubject string `json:"next_by_subj,omitempty"`
	LastSubject string `json:"last_by_subj,omitempty"`
}

// errNone means that the stream holds nothing of the kind asked for.
var errNone = errors.New("nothing is stored there")

// read returns the next messages on subject from a sequence on, and whether
// there are more.
func (l log) read(ctx context.Context, subject string, from uint64) (found []message, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	inbox := l.nc.NewRespInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, fmt.Errorf("read events: %w", err)
	}
	defer func() { err = errors.Join(err, l.drop(sub)) }()
	request, err := json.Marshal(directGet{Sequence: max(1, from), Batch: batch, MaxBytes: batchBytes, NextSubject: subject})
	if err != nil {
		return nil, false, fmt.Errorf("read events: %w", err)
	}
	if err := l.nc.PublishRequest(contract.EventsGet, inbox, request); err != nil {
		return nil, false, fmt.Errorf("read events: %w", err)
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("read events: %w", err)
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			m, err := stored(msg)
			if err != nil {
				return nil, false, err
			}
			found = append(found, m)
		case "204":
			return found, msg.Header.Get("Nats-Num-Pending") != "0", nil
		case "404":
			return found, false, nil
		default:
			return nil, false, fmt.Errorf("read events: the broker answered %s %s", status, msg.Header.Get("Description"))
		}
	}
}

func (l log) drop(sub *nats.Subscription) error {
	if err := sub.Unsubscribe(); err != nil && !l.nc.IsClosed() {
		return fmt.Errorf("end a read of events: %w", err)
	}
	return nil
}

// last is the sequence of the newest message, 0 when the stream is empty.
func (l log) last(ctx context.Context) (uint64, error) {
	m, err := l.one(ctx, directGet{LastSubject: contract.PatternEvents})
	if errors.Is(err, errNone) {
		return 0, nil
	}
	return m.sequence, err
}

// next is the first sequence that is kept from a given one on.
func (l log) next(ctx context.Context, from uint64) (uint64, error) {
	m, err := l.one(ctx, directGet{Sequence: max(1, from), NextSubject: contract.PatternEvents})
	return m.sequence, err
}

func (l log) one(ctx context.Context, get directGet) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	request, err := json.Marshal(get)
	if err != nil {
		return message{}, fmt.Errorf("read an event: %w", err)
	}
	msg, err := l.nc.RequestWithContext(ctx, contract.EventsGet, request)
	if err != nil {
		return message{}, fmt.Errorf("read an event: %w", err)
	}
	switch status := msg.Header.Get("Status"); status {
	case "":
		return stored(msg)
	case "404":
		return message{}, errNone
	default:
		return message{}, fmt.Errorf("read an event: the broker answered %s %s", status, msg.Header.Get("Description"))
	}
}

func stored(msg *nats.Msg) (message, error) {
	sequence, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return message{}, fmt.Errorf("read events: a message without its place: %w", err)
	}
	return message{sequence: sequence, subject: msg.Header.Get("Nats-Subject"), data: msg.Data}, nil
}
