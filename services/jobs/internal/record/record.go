// Package record turns submit commands into recorded jobs: many commands, one
// transaction, then the answers, then the run messages.
//
// Who may submit what was decided at the doors; here only what the database
// could not hold is refused.
package record

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/batch"
	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/jobs/internal/store"
)

const (
	// prefetch bounds the commands waiting in this process.
	prefetch = 1000
	// writers is how many record transactions run at once: while one waits for
	// the disk the other gathers and builds.
	writers = 2
	// rest is the most a busy writer waits for more to write with the next commit.
	rest = 5 * time.Millisecond
	// maxJobs bounds the jobs of one transaction.
	maxJobs = 500
	// nakDelay is when commands come again that could not be recorded now.
	nakDelay = time.Second
	// maxTries is how often a command is tried that meets an error which does not
	// pass by itself; the pauses between the tries grow.
	maxTries = 5
)

// Types knows the job types.
type Types interface {
	Lookup(name string) (contract.JobType, bool)
}

// Store is where jobs are recorded.
type Store interface {
	StagePart(ctx context.Context, part contract.SubmitPart) (whole []byte, err error)
	DropParts(ctx context.Context, commandID string) error
	Record(ctx context.Context, jobs []store.NewJob, atomic bool) ([]contract.SubmitVerdict, outbox.Entry, error)
	Publish(ctx context.Context, e outbox.Entry) error
}

// Recorder is a run.Component.
type Recorder struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	store  Store
	types  Types
	dead   *bus.Publisher
	now    func() time.Time
	log    zerolog.Logger
	tracer trace.Tracer

	tries      *bus.Tries
	commands   *batch.Batcher[*command]
	staging    sync.WaitGroup
	publishing sync.WaitGroup
}

// New makes a recorder.
func New(nc *nats.Conn, js jetstream.JetStream, st Store, types Types, pub *bus.Publisher, log zerolog.Logger, tracer trace.TracerProvider, now func() time.Time) *Recorder {
	r := &Recorder{now: now, nc: nc, js: js, store: st, types: types, dead: pub, log: log, tracer: tracer.Tracer("nexus.internal/services/jobs/record"), tries: bus.NewTries(maxTries)}
	r.commands = batch.New(batch.Options[*command]{
		Max: maxJobs, MaxWeight: maxJobs, Weigh: func(c *command) int { return len(c.jobs) }, Writers: writers, Rest: rest, Flush: r.flush,
		Repeatable: true, Spoiled: r.giveUp,
	})
	return r
}

// command is one submit command on its way.
type command struct {
	msg     jetstream.Msg
	replyTo string
	jobs    []store.NewJob
	// atomic commands are recorded whole or not at all.
	atomic bool
	// partsOf is the id of a command that came in parts.
	partsOf string
	// refused are the verdicts of submissions that cannot be recorded at all.
	refused []contract.SubmitVerdict
}

// Name implements run.Component.
func (r *Recorder) Name() string { return "recorder" }

// Run implements run.Component.
func (r *Recorder) Run(ctx context.Context, ready func()) error {
	tail, stop := context.WithCancel(context.WithoutCancel(ctx))
	var flushing sync.WaitGroup
	flushing.Go(func() { r.commands.Run(tail) })
	err := bus.Consume(ctx, r.js, r.log, contract.StreamCommands, contract.ConsumerRecorder, prefetch, ready, func(msg jetstream.Msg) {
		r.receive(tail, msg)
	})
	r.staging.Wait()
	stop()
	flushing.Wait()
	r.publishing.Wait()
	return err
}

// receive takes a message. One that makes us panic is a dead letter.
func (r *Recorder) receive(ctx context.Context, msg jetstream.Msg) {
	err := fault.Guard(func() error { r.sort(ctx, msg); return nil })
	if err != nil {
		r.bury(ctx, msg, reasonUnrecordable, err)
	}
}

func (r *Recorder) sort(ctx context.Context, msg jetstream.Msg) {
	if msg.Headers().Get(contract.HeaderType) == contract.TypeSubmitPart {
		r.staging.Go(func() {
			if err := fault.Guard(func() error { r.stage(ctx, msg); return nil }); err != nil {
				r.bury(ctx, msg, reasonUnrecordable, err)
			}
		})
		return
	}
	r.take(ctx, &command{msg: msg, replyTo: msg.Headers().Get(contract.HeaderReplyTo)}, msg.Data())
}

// stage keeps a part of a command, and takes the command once it is whole. The
// message that made it whole is acknowledged when its jobs are recorded.
func (r *Recorder) stage(ctx context.Context, msg jetstream.Msg) {
	var part contract.SubmitPart
	if err := json.Unmarshal(msg.Data(), &part); err != nil {
		r.bury(ctx, msg, reasonUndecodable, fmt.Errorf("decode a part of a command: %w", err))
		return
	}
	if err := checkPart(part); err != nil {
		r.bury(ctx, msg, reasonUndecodable, err)
		return
	}
	whole, err := r.store.StagePart(ctx, part)
	switch {
	case err != nil:
		r.log.Warn().Err(err).Msg("could not keep a part of a command; it will come again")
		r.nak(msg)
	case whole == nil:
		r.ack(msg)
	default:
		r.take(ctx, &command{msg: msg, replyTo: msg.Headers().Get(contract.HeaderReplyTo), partsOf: part.CommandID}, whole)
	}
}

func checkPart(p contract.SubmitPart) error {
	if _, err := uuid.Parse(p.CommandID); err != nil {
		return fmt.Errorf("the part belongs to no command: %w", err)
	}
	if p.Parts < 1 || p.Parts > contract.MaxCommandParts || p.Part < 0 || p.Part >= p.Parts {
		return fmt.Errorf("part %d of %d is none", p.Part, p.Parts)
	}
	return nil
}

func (r *Recorder) take(ctx context.Context, c *command, body []byte) {
	var cmd contract.SubmitCommand
	if err := contract.Decode(body, &cmd); err != nil {
		r.bury(ctx, c.msg, reasonUndecodable, fmt.Errorf("decode the command: %w", err))
		return
	}
	c.atomic = cmd.Atomic
	for _, s := range cmd.Submissions {
		job, problem := r.accept(s)
		if problem != nil {
			c.refused = append(c.refused, *problem)
			continue
		}
		c.jobs = append(c.jobs, job)
	}
	if len(c.jobs) == 0 || c.atomic && len(c.refused) > 0 {
		r.refuse(ctx, c)
		return
	}
	if err := r.commands.Add(ctx, c); err != nil {
		r.nak(c.msg)
	}
}

// refuse answers a command of which nothing is recorded.
func (r *Recorder) refuse(ctx context.Context, c *command) {
	for _, j := range c.jobs {
		c.refused = append(c.refused, contract.SubmitVerdict{Ref: j.Ref, JobID: j.JobID, Code: contract.CodeNotRecorded, Detail: "Another job of the batch was refused."})
	}
	r.answer(map[string][]contract.SubmitVerdict{c.replyTo: c.refused})
	r.done(ctx, c)
}

// done settles a command whose jobs need nothing more of it.
func (r *Recorder) done(ctx context.Context, c *command) {
	r.ack(c.msg)
	r.tries.Done(c.id())
	if c.partsOf == "" {
		return
	}
	if err := r.store.DropParts(ctx, c.partsOf); err != nil {
		r.log.Warn().Err(err).Msg("could not drop the parts of a recorded command; they go with time")
	}
}

// accept checks what the database relies on.
func (r *Recorder) accept(s contract.Submission) (store.NewJob, *contract.SubmitVerdict) {
	refuse := func(code, detail string) (store.NewJob, *contract.SubmitVerdict) {
		return store.NewJob{}, &contract.SubmitVerdict{Ref: s.Ref, JobID: s.JobID, Code: code, Detail: detail}
	}
	id, err := uuid.Parse(s.JobID)
	if err != nil {
		return refuse(contract.CodeInvalid, "The job id is not a UUID.")
	}
	t, ok := r.types.Lookup(s.JobType)
	if !ok {
		return refuse(contract.CodeUnknownJobType, fmt.Sprintf("Unknown job_type '%s'", s.JobType))
	}
	if s.MaxAttempts < 1 || s.MaxAttempts > contract.MaxAttemptsLimit {
		return refuse(contract.CodeInvalid, fmt.Sprintf("max_attempts is %d: want 1 to %d.", s.MaxAttempts, contract.MaxAttemptsLimit))
	}
	switch s.ExecutionMode {
	case contract.ModeAsync, contract.ModeSync, contract.ModeShadow:
	default:
		return refuse(contract.CodeInvalid, fmt.Sprintf("Unknown execution_mode '%s'", s.ExecutionMode))
	}
	if s.Priority != "" && !contract.ValidPriority(s.Priority) {
		return refuse(contract.CodeInvalid, fmt.Sprintf("Unknown priority '%s'", s.Priority))
	}
	if s.TimeoutSeconds < 0 || s.TimeoutSeconds > contract.MaxTimeoutSeconds {
		return refuse(contract.CodeInvalid, fmt.Sprintf("timeout_seconds is %d: want 1 to %d.", s.TimeoutSeconds, contract.MaxTimeoutSeconds))
	}
	if s.DelaySeconds < 0 || s.DelaySeconds > contract.MaxDelay.Seconds() {
		return refuse(contract.CodeInvalid, fmt.Sprintf("delay_seconds is %g: want 0 to %g.", s.DelaySeconds, contract.MaxDelay.Seconds()))
	}
	if s.RunAt != nil && !contract.ValidTime(*s.RunAt) {
		return refuse(contract.CodeInvalid, "run_at is outside of the years 1 to 9999.")
	}
	if err := contract.CheckTags(s.Tags); err != nil {
		return refuse(contract.CodeInvalid, err.Error())
	}
	if err := contract.CheckJobWebhook(s.Webhook); err != nil {
		return refuse(contract.CodeInvalid, err.Error())
	}
	if err := contract.CheckPayload(s.Payload); err != nil {
		return refuse(contract.CodeInvalid, err.Error())
	}
	return store.NewJob{ID: id, Type: t, Submission: s}, nil
}

// flush records a group of commands and answers them. Commands that stand on
// their own share a transaction; an atomic one has its own.
func (r *Recorder) flush(ctx context.Context, group []*command) {
	shared := make([]*command, 0, len(group))
	for _, c := range group {
		if c.atomic {
			r.record(ctx, []*command{c}, true)
			continue
		}
		shared = append(shared, c)
	}
	if len(shared) > 0 {
		r.record(ctx, shared, false)
	}
}

func (r *Recorder) record(ctx context.Context, group []*command, atomic bool) {
	var jobs []store.NewJob
	for _, c := range group {
		jobs = append(jobs, c.jobs...)
	}
	ctx, span := r.startSpan(ctx, jobs)
	defer span.End()
	verdicts, entry, err := r.store.Record(ctx, jobs, atomic)
	switch {
	case err == nil:
		r.settle(ctx, group, verdicts)
		r.publish(ctx, entry)
	case pg.IsBadData(err) && len(group) > 1:
		// One of them holds something Postgres refuses; alone it cannot take
		// the others with it.
		for _, c := range group {
			r.record(ctx, []*command{c}, atomic)
		}
	case pg.IsBadData(err):
		// What it says may repeat the content.
		r.log.Error().Str("sqlstate", pg.State(err)).Msg("Postgres refuses the content of a command")
		r.refuseAll(ctx, group[0])
	case ctx.Err() != nil || pg.IsAway(err):
		r.log.Warn().Err(err).Int("commands", len(group)).Msg("could not record jobs; their commands will come again")
		for _, c := range group {
			r.nak(c.msg)
		}
	case len(group) > 1:
		for _, c := range group {
			r.record(ctx, []*command{c}, atomic)
		}
	default:
		r.retry(ctx, group[0], err)
	}
}

// startSpan continues the trace of the first job and links those of the
// others: one transaction belongs to many requests.
func (r *Recorder) startSpan(ctx context.Context, jobs []store.NewJob) (context.Context, trace.Span) {
	var links []trace.Link
	for _, j := range jobs[1:] {
		if j.TraceParent != "" && j.TraceParent != jobs[0].TraceParent {
			links = append(links, trace.LinkFromContext(telemetry.WithTraceParent(context.WithoutCancel(ctx), j.TraceParent)))
		}
	}
	return r.tracer.Start(telemetry.WithTraceParent(ctx, jobs[0].TraceParent), "record jobs",
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...), trace.WithAttributes(attribute.Int("nexus.jobs", len(jobs))))
}

func (r *Recorder) settle(ctx context.Context, group []*command, verdicts []contract.SubmitVerdict) {
	replies := map[string][]contract.SubmitVerdict{}
	for _, c := range group {
		n := len(c.jobs)
		replies[c.replyTo] = append(replies[c.replyTo], verdicts[:n]...)
		replies[c.replyTo] = append(replies[c.replyTo], c.refused...)
		verdicts = verdicts[n:]
	}
	r.answer(replies)
	for _, c := range group {
		r.done(ctx, c)
	}
}

func (r *Recorder) refuseAll(ctx context.Context, c *command) {
	verdicts := c.refused
	for _, j := range c.jobs {
		verdicts = append(verdicts, contract.SubmitVerdict{Ref: j.Ref, JobID: j.JobID, Code: contract.CodeInvalid, Detail: "The job holds characters that cannot be stored."})
	}
	r.answer(map[string][]contract.SubmitVerdict{c.replyTo: verdicts})
	r.done(ctx, c)
}

// answer tells the waiting gateways. One that does not wait any more finds the
// job by asking for it.
func (r *Recorder) answer(replies map[string][]contract.SubmitVerdict) {
	for to, verdicts := range replies {
		if to == "" {
			continue
		}
		body, err := contract.Encode(contract.SubmitReply{Verdicts: verdicts})
		if err == nil {
			err = r.nc.Publish(to, body)
		}
		if err != nil {
			r.log.Warn().Err(err).Msg("could not answer a gateway")
		}
	}
}

// publish sends the run messages and events beside the next transaction.
func (r *Recorder) publish(ctx context.Context, entry outbox.Entry) {
	r.publishing.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := fault.Guard(func() error { return r.store.Publish(ctx, entry) }); err != nil {
			r.log.Warn().Err(err).Msg("could not publish after recording; the relay will")
		}
	})
}

func (r *Recorder) ack(msg jetstream.Msg) {
	if err := msg.Ack(); err != nil {
		r.log.Warn().Err(err).Msg("could not acknowledge a command; it will come again and find its jobs recorded")
	}
}

func (r *Recorder) nak(msg jetstream.Msg) {
	if err := msg.NakWithDelay(nakDelay); err != nil {
		r.log.Warn().Err(err).Msg("could not give back a command; it will come again by itself")
	}
}
