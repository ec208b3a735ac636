package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
)

// answerWithin bounds the wait for a command's verdicts.
const answerWithin = 30 * time.Second

// inboxPrefix begins the inboxes that the jobs service may answer to: those of
// the gateways.
const inboxPrefix = "_INBOX_gateway."

// Producer submits commands. Its methods may be called from any goroutine.
type Producer struct {
	js    jetstream.JetStream
	inbox string
	sub   *nats.Subscription
	next  atomic.Uint64

	mu      sync.Mutex
	waiting map[string]*command
}

// command waits for the verdicts of its jobs.
type command struct {
	left    int
	refused error
	done    chan struct{}
}

// New makes a producer on a connection that may publish commands. The caller
// closes the connection after Close.
func New(nc *nats.Conn, js jetstream.JetStream) (*Producer, error) {
	p := &Producer{js: js, inbox: inboxPrefix + nats.NewInbox()[len(nats.InboxPrefix):], waiting: map[string]*command{}}
	var err error
	if p.sub, err = nc.Subscribe(p.inbox, p.receive); err != nil {
		return nil, fmt.Errorf("listen for verdicts: %w", err)
	}
	if err := errors.Join(p.sub.SetPendingLimits(-1, -1), nc.Flush()); err != nil {
		return nil, fmt.Errorf("listen for verdicts: %w", err)
	}
	return p, nil
}

// Close stops listening.
func (p *Producer) Close() error { return p.sub.Unsubscribe() }

// Submit submits one no-op job for each payload in one command, and returns when
// all are committed.
func (p *Producer) Submit(ctx context.Context, payloads []json.RawMessage) error {
	ref := strconv.FormatUint(p.next.Add(1), 36)
	msg, err := encode(ref, p.inbox, payloads, time.Now())
	if err != nil {
		return err
	}
	c := &command{left: len(payloads), done: make(chan struct{})}
	p.mu.Lock()
	p.waiting[ref] = c
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, ref)
		p.mu.Unlock()
	}()
	future, err := p.js.PublishMsgAsync(msg, jetstream.WithMsgID(uuid.NewString()), jetstream.WithStallWait(answerWithin))
	if err != nil {
		return fmt.Errorf("publish a command: %w", err)
	}
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.refused
	case err := <-future.Err():
		return fmt.Errorf("publish a command: %w", err)
	case <-timer.C:
		return fmt.Errorf("no verdict on a command of %d jobs within %s", len(payloads), answerWithin)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// encode makes the message of a command. All its submissions carry the same
// ref: only their number matters.
func encode(ref, replyTo string, payloads []json.RawMessage, now time.Time) (*nats.Msg, error) {
	cmd := contract.SubmitCommand{Submissions: make([]contract.Submission, len(payloads))}
	for i, payload := range payloads {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make a job id: %w", err)
		}
		cmd.Submissions[i] = contract.Submission{
			Ref: ref, JobID: id.String(), JobType: contract.JobNoop, ExecutionMode: contract.ModeAsync,
			Payload: payload, MaxAttempts: contract.DefaultMaxAttempts, CreatedBy: "bench",
		}
	}
	body, err := json.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	msg := nats.NewMsg(contract.SubjectSubmitJobs)
	msg.Data = body
	msg.Header.Set(contract.HeaderReplyTo, replyTo)
	msg.Header.Set(contract.HeaderType, contract.TypeSubmitCommand)
	msg.Header.Set(contract.HeaderSource, "bench")
	msg.Header.Set(contract.HeaderTime, now.UTC().Format(time.RFC3339Nano))
	return msg, nil
}

func (p *Producer) receive(msg *nats.Msg) {
	var reply contract.SubmitReply
	if json.Unmarshal(msg.Data, &reply) != nil {
		// Whoever waits for it says so, in time.
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range reply.Verdicts {
		p.settle(v)
	}
}

func (p *Producer) settle(v contract.SubmitVerdict) {
	c := p.waiting[v.Ref]
	if c == nil {
		return
	}
	if v.Code != "" {
		c.refused = fmt.Errorf("job refused: %s: %s", v.Code, v.Detail)
	}
	if c.left--; c.left == 0 {
		delete(p.waiting, v.Ref)
		close(c.done)
	}
}
