package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/contract"
)

// Change is one state change of a job, as a reader saw it.
type Change struct {
	JobID  string
	Status contract.Status
	// Seen is when it arrived.
	Seen time.Time
}

// Count calls tell with the number of jobs of each message that says that jobs
// reached status, one message at a time. An event can arrive twice. stop ends it.
func Count(nc *nats.Conn, status contract.Status, tell func(jobs int)) (stop func() error, err error) {
	return listen(nc, contract.JobEventPattern(status), func(msg *nats.Msg) {
		var pack []struct{}
		if json.Unmarshal(msg.Data, &pack) == nil {
			tell(len(pack))
		}
	})
}

// Follow sends every state change of every job to out, in the order they
// arrive. It drops those that out has no room for. dropped counts them.
func Follow(nc *nats.Conn, out chan<- Change, dropped *atomic.Int64) (stop func() error, err error) {
	return listen(nc, contract.PatternJobEvents, func(msg *nats.Msg) {
		seen := time.Now()
		pack, err := contract.DecodeEvents(msg.Data)
		if err != nil {
			dropped.Add(1)
			return
		}
		for _, e := range pack {
			var change contract.JobChange
			if json.Unmarshal(e.Data, &change) != nil {
				dropped.Add(1)
				continue
			}
			select {
			case out <- Change{JobID: change.JobID, Status: change.Status, Seen: seen}:
			default:
				dropped.Add(1)
			}
		}
	})
}

func listen(nc *nats.Conn, subject string, handle nats.MsgHandler) (stop func() error, err error) {
	sub, err := nc.Subscribe(subject, handle)
	if err != nil {
		return nil, fmt.Errorf("listen for events: %w", err)
	}
	if err := errors.Join(sub.SetPendingLimits(-1, -1), nc.Flush()); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for events: %w", err), sub.Unsubscribe())
	}
	return sub.Unsubscribe, nil
}
