// Package record turns events of jobs into deliveries: for each event that
// somebody wants one row, many events in one transaction, and each message is
// acknowledged once its rows are there. What nobody wants is passed over without
// being decoded and without a question to the database.
//
// Posting is deliver's part.
package record

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/batch"
	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/webhooks/internal/hook"
)

const (
	// prefetch bounds the messages waiting in this process.
	prefetch = 1000
	// maxPacks and maxBytes bound one transaction.
	maxPacks = 500
	maxBytes = 4 << 20
	// flushWithin bounds one transaction and the question before it.
	flushWithin = 10 * time.Second
	// nakDelay is when messages come again that could not be handled now, and
	// rest how long a writer waits after a failure.
	nakDelay, rest = time.Second, 200 * time.Millisecond
)

// Interest knows who wants an event.
type Interest interface {
	// Fresh waits until the answers are not too old, and reports false where ctx
	// ends first.
	Fresh(ctx context.Context) bool
	Any(event, jobType string) bool
	Of(owner, event, jobType string, at time.Time) []hook.Subscription
}

// JobHooks finds the hooks of single jobs.
type JobHooks interface {
	Of(ctx context.Context, jobs []string) (map[string]contract.JobWebhook, error)
}

// Store keeps deliveries.
type Store interface {
	Add(ctx context.Context, drafts []hook.Draft, secret func() (string, error)) error
}

// Recorder is a run.Component.
type Recorder struct {
	js       jetstream.JetStream
	interest Interest
	hooks    JobHooks
	store    Store
	wake     func()
	log      zerolog.Logger
	tracer   trace.Tracer
	packs    *batch.Batcher[*pack]
}

// pack is a message with the events that somebody may want.
type pack struct {
	msg    jetstream.Msg
	events []event
	size   int
}

// event is an event of a job with what decides who hears of it.
type event struct {
	contract.Event
	kind   string
	change contract.JobChange
	subs   []hook.Subscription
}

// New makes a recorder. wake is called when deliveries were written.
func New(js jetstream.JetStream, interest Interest, hooks JobHooks, st Store, wake func(), log zerolog.Logger, tracer trace.Tracer) *Recorder {
	r := &Recorder{js: js, interest: interest, hooks: hooks, store: st, wake: wake, log: log, tracer: tracer}
	r.packs = batch.New(batch.Options[*pack]{
		Max: maxPacks, MaxWeight: maxBytes, Weigh: func(p *pack) int { return p.size }, Writers: 1, Flush: r.flush, Repeatable: true, Spoiled: r.spoiled,
	})
	return r
}

// Name implements run.Component.
func (r *Recorder) Name() string { return "webhook recorder" }

// Run implements run.Component. What was taken when ctx ends is still written.
func (r *Recorder) Run(ctx context.Context, ready func()) error {
	tail, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var flushing sync.WaitGroup
	flushing.Go(func() { r.packs.Run(tail) })
	err := bus.Consume(ctx, r.js, r.log, contract.StreamEvents, contract.ConsumerWebhooks, prefetch, ready, func(msg jetstream.Msg) {
		if !r.interest.Fresh(ctx) {
			// Where the database is away nothing is passed over unseen.
			r.nak(msg)
			return
		}
		if err := fault.Guard(func() error { r.receive(tail, msg); return nil }); err != nil {
			r.passOver(msg, err)
		}
	})
	stop()
	flushing.Wait()
	return err
}

// receive settles a message that concerns nobody, and hands over any other.
func (r *Recorder) receive(ctx context.Context, msg jetstream.Msg) {
	kind, jobType, ok := kindOf(msg.Subject())
	if !ok || !r.interest.Any(kind, jobType) && !contract.MayHaveJobWebhook(msg.Data()) {
		r.ack(msg)
		return
	}
	events, err := contract.DecodeEvents(msg.Data())
	if err != nil {
		// The audit service keeps what is no pack as a dead letter.
		r.log.Debug().Err(err).Str(telemetry.FieldSubject, msg.Subject()).Msg("a message that is no event concerns no webhook")
		r.ack(msg)
		return
	}
	p := &pack{msg: msg}
	for _, e := range events {
		ev := event{Event: e, kind: kind}
		if json.Unmarshal(e.Data, &ev.change) != nil {
			continue
		}
		if _, err := uuid.Parse(ev.change.JobID); err != nil {
			// It is no job's, and nobody knows its hook.
			ev.change.Webhook = false
		}
		ev.subs = r.interest.Of(ev.change.CreatedBy, kind, ev.change.JobType, e.Time)
		if len(ev.subs) > 0 || ev.change.Webhook {
			p.events = append(p.events, ev)
			p.size += len(e.Data)*max(1, len(ev.subs)) + 512
		}
	}
	if len(p.events) == 0 {
		r.ack(msg)
		return
	}
	if err := r.packs.Add(ctx, p); err != nil {
		r.nak(msg)
	}
}

// spoiled passes over a pack that made us panic.
func (r *Recorder) spoiled(_ context.Context, p *pack, err error) { r.passOver(p.msg, err) }

// passOver is for an event that makes us panic: no webhook hears of it, and those
// behind it go on. The audit trail has it all the same.
func (r *Recorder) passOver(msg jetstream.Msg, err error) {
	r.log.Error().Err(err).Bytes("stack", fault.Stack(err)).Str(telemetry.FieldSubject, msg.Subject()).Msg("an event made us panic; no webhook hears of it")
	r.ack(msg)
}

// kindOf reads a kind such as job.succeeded, and the type of job, from a subject.
// Progress and the like are no kinds.
func kindOf(subject string) (kind, jobType string, ok bool) {
	words := strings.Split(subject, ".")
	if len(words) != 5 || words[2] != contract.AreaJob {
		return "", "", false
	}
	for _, s := range contract.Statuses() {
		if string(s) == words[3] {
			return contract.WebhookEvent(s), words[4], true
		}
	}
	return "", "", false
}

// flush writes the deliveries of packs together and settles them.
func (r *Recorder) flush(ctx context.Context, packs []*pack) {
	timed, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	err := r.write(timed, packs)
	switch {
	case err == nil:
		for _, p := range packs {
			r.ack(p.msg)
		}
		r.wake()
	case pg.IsBadData(err) && len(packs) > 1:
		// One of them is to blame; alone it cannot take the others with it.
		for _, p := range packs {
			r.flush(ctx, []*pack{p})
		}
	case pg.IsBadData(err):
		r.log.Error().Err(err).Str(telemetry.FieldSubject, packs[0].msg.Subject()).Msg("Postgres refuses an event; no webhook hears of it")
		r.ack(packs[0].msg)
	default:
		r.log.Warn().Err(err).Int("messages", len(packs)).Msg("deliveries could not be written now; their events come again")
		for _, p := range packs {
			r.nak(p.msg)
		}
		wait(timed, rest)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// write continues the trace of the first event and links those of the others.
func (r *Recorder) write(ctx context.Context, packs []*pack) error {
	first := packs[0].events[0].TraceParent
	var links []trace.Link
	for _, p := range packs {
		for _, e := range p.events {
			if e.TraceParent != "" && e.TraceParent != first {
				links = append(links, trace.LinkFromContext(telemetry.WithTraceParent(context.WithoutCancel(ctx), e.TraceParent)))
			}
		}
	}
	ctx, span := r.tracer.Start(telemetry.WithTraceParent(ctx, first), "record deliveries", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...))
	defer span.End()
	drafts, err := r.drafts(ctx, packs)
	if err == nil {
		span.SetAttributes(attribute.Int("nexus.deliveries", len(drafts)))
		err = r.store.Add(ctx, drafts, hook.NewSecret)
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

// drafts are the deliveries of packs. An event that comes twice in them is
// delivered once: the database sees to it.
func (r *Recorder) drafts(ctx context.Context, packs []*pack) ([]hook.Draft, error) {
	var hooked []string
	for _, p := range packs {
		for _, e := range p.events {
			if e.change.Webhook {
				hooked = append(hooked, e.change.JobID)
			}
		}
	}
	hooks := map[string]contract.JobWebhook{}
	if len(hooked) > 0 {
		var err error
		if hooks, err = r.hooks.Of(ctx, hooked); err != nil {
			return nil, err
		}
	}
	var out []hook.Draft
	for _, p := range packs {
		for _, e := range p.events {
			drafts, err := e.drafts(hooks)
			if err != nil {
				return nil, err
			}
			out = append(out, drafts...)
		}
	}
	return out, nil
}

func (e event) drafts(hooks map[string]contract.JobWebhook) ([]hook.Draft, error) {
	body, err := contract.WebhookBody(e.Event)
	if err != nil {
		return nil, err
	}
	out := make([]hook.Draft, 0, len(e.subs)+1)
	for _, s := range e.subs {
		out = append(out, hook.Draft{Subscription: &s.ID, Owner: s.Owner, Host: contract.WebhookHost(s.URL)})
	}
	if h, ok := hooks[e.change.JobID]; ok && e.change.Webhook && hook.Wanted(h, e.kind) {
		out = append(out, hook.Draft{Owner: e.change.CreatedBy, URL: h.URL, Host: contract.WebhookHost(h.URL)})
	}
	for i := range out {
		out[i].EventID, out[i].Event, out[i].Body = e.ID, e.kind, body
		if out[i].ID, err = uuid.NewV7(); err != nil {
			return nil, fmt.Errorf("make a delivery id: %w", err)
		}
	}
	return out, nil
}

func (r *Recorder) ack(msg jetstream.Msg) {
	if err := msg.Ack(); err != nil {
		r.log.Warn().Err(err).Msg("could not acknowledge an event; it will come again")
	}
}

func (r *Recorder) nak(msg jetstream.Msg) {
	if err := msg.NakWithDelay(nakDelay); err != nil {
		r.log.Warn().Err(err).Msg("could not give an event back; it will come again")
	}
}
