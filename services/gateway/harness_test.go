package gateway_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/run"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/token"
	"nexus.internal/services/gateway"
)

// secretMark is part of every key of these tests. It must be seen nowhere: not
// in the log, and not in a request, a command, an event or a dead letter.
const secretMark = "s3cr3t-of-"

func keyOf(owner string) string { return secretMark + owner + "-0123456789" }

// ownerOf is the caller of a role.
func ownerOf(role identity.Role) string { return "some-" + string(role) }

// world is everything around one gateway, played by the test: the services it
// asks and the recorder. The NATS server is real.
type world struct {
	t      testing.TB
	server *embednats.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	clock  *clock
	log    *buffer
	// stop ends a service by its name, or the recorder.
	stop map[string]func()
	// recorded are the submissions that reached the recorder.
	recorded chan contract.Submission

	mu      sync.Mutex
	answers map[string]answer
	asked   map[string][]json.RawMessage
	callers map[string]contract.VerifyReply
	verdict verdictFunc
	leaks   []string
}

// answer plays one call of a service.
type answer func(req json.RawMessage) (any, error)

// verdictFunc plays the recorder; ok is false where it keeps silent.
type verdictFunc func(contract.Submission) (v contract.SubmitVerdict, ok bool)

// clock stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// buffer collects a log.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newWorld starts the servers, the services and the recorder. When the test
// ends no key may have been logged or sent.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, server: testkit.NATSServer(t), clock: &clock{at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}, log: &buffer{},
		stop: map[string]func(){}, recorded: make(chan contract.Submission, 10_000), asked: map[string][]json.RawMessage{}, verdict: queued,
	}
	w.nc = testkit.Connect(t, w.server)
	w.js = testkit.JetStream(t, w.nc)
	w.defaults()
	t.Cleanup(func() {
		require.NotContains(t, w.log.String(), secretMark, "a key was logged")
		w.inspectKept(contract.StreamEvents)
		w.inspectKept(contract.StreamDead)
		w.mu.Lock()
		defer w.mu.Unlock()
		require.Empty(t, w.leaks, "a key was sent")
	})
	for service, subjects := range subjects() {
		w.service(service, subjects...)
	}
	w.recorder()
	w.logLevels()
	return w
}

// subjects lists what the gateway asks of each service.
func subjects() map[string][]string {
	return map[string][]string{
		"auth": {
			contract.RPCAuthVerify, contract.RPCAuthOwner, contract.RPCAuthState, contract.RPCAuthFeatures, contract.RPCAuthFeatureUpdate,
			contract.RPCAuthKeys, contract.RPCAuthKey, contract.RPCAuthKeyCreate, contract.RPCAuthKeyUpdate, contract.RPCAuthKeyRotate,
			contract.RPCAuthToken, contract.RPCAuthRefresh, contract.RPCAuthKeySet,
		},
		"jobs": {
			contract.RPCJobsTypes, contract.RPCJobsGet, contract.RPCJobsList, contract.RPCJobsCancel, contract.RPCJobsPayload, contract.RPCJobsOutput, contract.RPCJobsCounts,
			contract.RPCJobsRetry, contract.RPCJobsRetryMany, contract.RPCJobsSetType, contract.RPCJobsWorkers, contract.RPCJobsQueues, contract.RPCJobsPause,
		},
		"corpus": {
			contract.RPCCorpusDocuments, contract.RPCCorpusDocument, contract.RPCCorpusIngestJob, contract.RPCCorpusEvolve, contract.RPCCorpusBranches,
			contract.RPCCorpusTimeline, contract.RPCCorpusReplay, contract.RPCCorpusCompare, contract.RPCCorpusMerge, contract.RPCCorpusVisualization,
			contract.RPCCorpusRemix, contract.RPCCorpusRemixes, contract.RPCCorpusArtifact, contract.RPCCorpusGovern, contract.RPCCorpusDecisions,
			contract.RPCCorpusGraph, contract.RPCCorpusIntegrity, contract.RPCCorpusSeeds, contract.RPCCorpusFetchSeed,
		},
		"plugins": {contract.RPCPluginsRuns, contract.RPCPluginsRun, contract.RPCPluginsShadow, contract.RPCPluginsHealth, contract.RPCPluginsRhetoric},
		"audit": {
			contract.RPCAuditLogs, contract.RPCDeadLetters, contract.RPCDeadLetter, contract.RPCDeadLetterReplay, contract.RPCDeadLetterDiscard,
		},
		"webhooks": {
			contract.RPCWebhooks, contract.RPCWebhook, contract.RPCWebhookCreate, contract.RPCWebhookUpdate, contract.RPCWebhookDelete,
			contract.RPCWebhookSecret, contract.RPCWebhookDeliveries, contract.RPCWebhookRedeliver,
		},
	}
}

func (w *world) defaults() {
	w.callers = map[string]contract.VerifyReply{}
	for _, role := range identity.Roles() {
		w.callers[ownerOf(role)] = contract.VerifyReply{
			KeyID: uuid.NewString(), Owner: ownerOf(role), Role: string(role), RawModeEnabled: role == identity.Researcher || role == identity.Admin,
			KeyHashPrefix: identity.HashPrefix(identity.HashKey(keyOf(ownerOf(role)))),
		}
	}
	w.answers = map[string]answer{
		contract.RPCAuthVerify: w.verify,
		contract.RPCAuthOwner:  w.owner,
		contract.RPCAuthState:  w.state,
		contract.RPCAuthFeatures: always(contract.FeaturesReply{Features: []contract.Feature{
			{Name: contract.FeatureRawMode, Enabled: true, MinRole: "researcher"},
			{Name: contract.FeatureShadowExecution, Enabled: true, MinRole: "researcher"},
			{Name: contract.FeatureMLPlugins, Enabled: true, MinRole: "admin"},
			{Name: "off", MinRole: "viewer"},
			{Name: "on", Enabled: true, MinRole: "viewer"},
		}}),
		contract.RPCAuthFeatureUpdate: always(contract.Feature{Name: "on"}),
		contract.RPCAuthKeys:          always(contract.KeysReply{Keys: []contract.APIKey{}}),
		contract.RPCAuthKey:           always(contract.APIKey{}),
		contract.RPCAuthKeyCreate:     always(contract.CreatedKey{}),
		contract.RPCAuthKeyUpdate:     always(contract.APIKey{}),
		contract.RPCAuthKeyRotate:     always(contract.CreatedKey{}),
		contract.RPCAuthToken:         always(contract.Token{TokenType: "Bearer"}),
		contract.RPCAuthRefresh:       always(contract.Token{TokenType: "Bearer"}),
		contract.RPCAuthKeySet:        always(contract.KeySetReply{}),
		contract.RPCJobsTypes: always(contract.JobTypesReply{JobTypes: []contract.JobType{
			{Name: contract.JobAnalyze, Queue: contract.QueuePlugins, MaxAttempts: 3, ModeGated: true, Enabled: true},
			{Name: contract.JobIngestBatch, Queue: contract.QueueCorpus, MaxAttempts: 4, Enabled: true},
		}}),
		contract.RPCJobsGet:             runningJob,
		contract.RPCJobsOutput:          always(contract.PayloadReply{Part: []byte("{}"), Size: 2}),
		contract.RPCJobsList:            always(contract.ListJobsReply{Jobs: []contract.JobSummary{}}),
		contract.RPCJobsCancel:          always(contract.Job{JobSummary: contract.JobSummary{Status: contract.StatusCancelled}}),
		contract.RPCCorpusDocuments:     always(contract.DocumentsReply{Documents: []contract.DocumentItem{}}),
		contract.RPCCorpusDocument:      always(contract.Document{Title: "a title"}),
		contract.RPCCorpusIngestJob:     always(contract.IngestJob{IngestBatchResult: contract.IngestBatchResult{Status: contract.IngestCompleted}}),
		contract.RPCPluginsRuns:         always(contract.AnalysisRunsReply{Runs: []contract.AnalysisRunSummary{}}),
		contract.RPCPluginsRun:          always(contract.AnalysisRun{}),
		contract.RPCPluginsShadow:       always(contract.ShadowReply{ShadowJobID: uuid.NewString()}),
		contract.RPCPluginsHealth:       always(contract.PluginsHealthReply{Plugins: []contract.PluginHealth{}}),
		contract.RPCPluginsRhetoric:     always(contract.RhetoricReply{Strategies: []string{}}),
		contract.RPCDeadLetters:         always(contract.DeadLettersReply{DeadLetters: []contract.DeadLetterSummary{}}),
		contract.RPCDeadLetter:          always(contract.DeadLetter{}),
		contract.RPCDeadLetterReplay:    always(contract.DeadLetter{}),
		contract.RPCDeadLetterDiscard:   always(contract.DeadLetter{}),
		contract.RPCAuditLogs:           always(contract.AuditReply{Entries: []contract.AuditEntry{}}),
		contract.RPCJobsCounts:          always(contract.JobCounts{Queued: 3}),
		contract.RPCJobsRetry:           always(contract.Job{JobSummary: contract.JobSummary{Status: contract.StatusQueued}}),
		contract.RPCJobsRetryMany:       always(contract.RetryJobsReply{JobIDs: []string{}}),
		contract.RPCJobsSetType:         echoType,
		contract.RPCJobsWorkers:         always(contract.WorkersReply{Workers: []contract.Worker{}}),
		contract.RPCJobsQueues:          always(contract.QueuesReply{Queues: []contract.Queue{}}),
		contract.RPCWebhooks:            always(contract.WebhooksReply{Webhooks: []contract.Webhook{}}),
		contract.RPCWebhook:             always(contract.Webhook{Events: []string{}}),
		contract.RPCWebhookCreate:       always(contract.WebhookWithSecret{Secret: "shown once"}),
		contract.RPCWebhookUpdate:       always(contract.WebhookWithSecret{}),
		contract.RPCWebhookDelete:       always(struct{}{}),
		contract.RPCWebhookSecret:       always(contract.WebhookSecret{Secret: "shown once"}),
		contract.RPCWebhookDeliveries:   always(contract.DeliveriesReply{Deliveries: []contract.WebhookDelivery{}}),
		contract.RPCWebhookRedeliver:    always(contract.WebhookDelivery{}),
		contract.RPCJobsPause:           always(contract.Queue{Name: "corpus", Paused: true}),
		contract.RPCCorpusEvolve:        always(contract.EvolveReply{BranchIDs: []string{"b"}, EventIDs: []string{"e"}, FinalBranchID: "b"}),
		contract.RPCCorpusBranches:      always(contract.BranchesReply{Branches: []contract.BranchItem{}}),
		contract.RPCCorpusTimeline:      always(contract.Timeline{}),
		contract.RPCCorpusReplay:        always(contract.Replay{}),
		contract.RPCCorpusCompare:       always(contract.Comparison{}),
		contract.RPCCorpusMerge:         always(contract.MergeReply{}),
		contract.RPCCorpusVisualization: always(contract.Visualization{}),
		contract.RPCCorpusRemix:         always(contract.RemixReply{SourceAtomRefs: []contract.AtomRef{}}),
		contract.RPCCorpusRemixes:       always(contract.RemixesReply{Remixes: []contract.RemixItem{}}),
		contract.RPCCorpusArtifact:      always(contract.RemixArtifact{}),
		contract.RPCCorpusGovern:        always(contract.GovernReply{Allow: true}),
		contract.RPCCorpusDecisions:     always(contract.DecisionsReply{Decisions: []contract.PolicyDecision{}}),
		contract.RPCCorpusGraph:         always(contract.GraphReply{Source: "empty"}),
		contract.RPCCorpusSeeds:         always(contract.SeedsReply{Seeds: []contract.SeedText{}}),
		contract.RPCCorpusFetchSeed:     always(contract.SeedReply{DocumentID: new(uuid.NewString())}),
		contract.RPCCorpusIntegrity:     always(contract.GraphIntegrity{}),
	}
}

// logLevels plays a process that answers for two of its services, unless another is
// asked for.
func (w *world) logLevels() {
	sub, err := w.nc.Subscribe(contract.SubjectLogLevel, func(msg *nats.Msg) {
		var req contract.LogLevelRequest
		if json.Unmarshal(msg.Data, &req) != nil {
			return
		}
		for _, service := range []string{"jobs", "audit"} {
			if req.Service != "" && req.Service != service {
				continue
			}
			if body, err := json.Marshal(contract.LogLevel{Service: service, Instance: "w-1", Level: cmp.Or(req.Level, "info")}); err == nil {
				_ = msg.Respond(body)
			}
		}
	})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = sub.Unsubscribe() })
}

func always(v any) answer { return func(json.RawMessage) (any, error) { return v, nil } }

// runningJob answers that a job is at work.
func runningJob(data json.RawMessage) (any, error) {
	var req contract.JobRequest
	err := json.Unmarshal(data, &req)
	return contract.Job{JobSummary: contract.JobSummary{JobID: req.JobID, Status: contract.StatusRunning}}, err
}

// echoType answers with the job type that was to be set.
func echoType(data json.RawMessage) (any, error) {
	var req contract.SetJobTypeRequest
	err := json.Unmarshal(data, &req)
	return req.JobType, err
}

func refuses(err error) answer { return func(json.RawMessage) (any, error) { return nil, err } }

// verify knows the keys of all callers by their hash.
func (w *world) verify(data json.RawMessage) (any, error) {
	var req contract.VerifyRequest
	if err := json.Unmarshal(data, &req); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for owner, c := range w.callers {
		if identity.HashKey(keyOf(owner)) == req.KeyHash {
			return c, nil
		}
	}
	return nil, fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
}

func (w *world) owner(data json.RawMessage) (any, error) {
	var req contract.OwnerRequest
	if err := json.Unmarshal(data, &req); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.callers[req.Owner]; ok {
		return c, nil
	}
	return nil, fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
}

// state knows what the bearers of tokens may do now.
func (w *world) state(data json.RawMessage) (any, error) {
	var req contract.KeyRequest
	if err := json.Unmarshal(data, &req); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.callers {
		if c.KeyID == req.KeyID {
			return c, nil
		}
	}
	return nil, fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
}

// tokens are the settings that tokens of these tests are signed with.
func tokens() token.Settings {
	return token.Settings{Algorithm: token.HS256, Secret: token.DevSecret, ExpiryMinutes: 15, LifetimeHours: 12}
}

// bearer signs a token for a caller.
func (w *world) bearer(owner string) string {
	w.t.Helper()
	signer, err := token.NewSigner(tokens(), w.clock.now)
	require.NoError(w.t, err)
	w.mu.Lock()
	c := w.callers[owner]
	w.mu.Unlock()
	signed, _, err := signer.Sign(token.Claims{KeyID: c.KeyID, Owner: owner, Role: c.Role})
	require.NoError(w.t, err)
	return signed
}

// tell publishes that access has changed.
func (w *world) tell(subject string) {
	w.t.Helper()
	require.NoError(w.t, w.nc.Publish(subject, []byte("[]")))
}

// caller adds or changes a caller.
func (w *world) caller(c contract.VerifyReply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.KeyID == "" {
		c.KeyID = uuid.NewString()
	}
	w.callers[c.Owner] = c
}

// disable takes a caller's key away.
func (w *world) disable(owner string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.callers, owner)
}

// inspectKept looks for keys in what a stream has kept.
func (w *world) inspectKept(name string) {
	ctx := context.Background()
	stream, err := w.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return
	}
	require.NoError(w.t, err)
	for seq := max(1, stream.CachedInfo().State.FirstSeq); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		require.NoError(w.t, err)
		w.inspect(m.Subject, m.Data, m.Header)
	}
}

func (w *world) inspect(subject string, data []byte, header nats.Header) {
	text := string(data)
	for _, values := range header {
		text += strings.Join(values, " ")
	}
	if !strings.Contains(text, secretMark) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaks = append(w.leaks, subject)
}

// service starts a service that gives the scripted answers.
func (w *world) service(name string, subjects ...string) {
	w.t.Helper()
	rpc := bus.NewRPC(w.nc, zerolog.Nop(), noop.NewTracerProvider(), name)
	for _, subject := range subjects {
		bus.Handle(rpc, subject, func(_ context.Context, req json.RawMessage) (any, error) {
			w.inspect(subject, req, nil)
			w.mu.Lock()
			w.asked[subject] = append(w.asked[subject], req)
			fn := w.answers[subject]
			w.mu.Unlock()
			return fn(req)
		})
	}
	stop := testkit.Start(w.t, rpc)
	w.stop[name] = func() {
		stop()
		// The server must know that nobody listens any more.
		require.NoError(w.t, w.nc.Flush())
	}
}

// sick starts a service that cannot do its work.
func (w *world) sick(name string, why error) (stop func()) {
	w.t.Helper()
	rpc := bus.NewRPC(w.nc, zerolog.Nop(), noop.NewTracerProvider(), name)
	rpc.Health(func(context.Context) error { return why })
	return testkit.Start(w.t, rpc)
}

// answer changes what a service says.
func (w *world) answer(subject string, fn answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[subject] = fn
}

// requests are those that reached a service, in order.
func (w *world) requests(subject string) []json.RawMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]json.RawMessage(nil), w.asked[subject]...)
}

// lastRequest decodes the newest request on a subject.
func lastRequest[T any](w *world, subject string) T {
	w.t.Helper()
	all := w.requests(subject)
	require.NotEmpty(w.t, all, "nobody asked %s", subject)
	var v T
	require.NoError(w.t, json.Unmarshal(all[len(all)-1], &v))
	return v
}

func queued(s contract.Submission) (contract.SubmitVerdict, bool) {
	return contract.SubmitVerdict{JobID: s.JobID, Status: contract.StatusQueued}, true
}

func silent(contract.Submission) (contract.SubmitVerdict, bool) {
	return contract.SubmitVerdict{}, false
}

// judges changes what the recorder says.
func (w *world) judges(fn verdictFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verdict = fn
}

// recorder takes commands as the jobs service does and answers each
// submission.
func (w *world) recorder() {
	w.t.Helper()
	w.stop["recorder"] = testkit.Start(w.t, run.Func("recorder", func(ctx context.Context, ready func()) error {
		return bus.Consume(ctx, w.js, zerolog.Nop(), contract.StreamCommands, contract.ConsumerRecorder, 100, ready, w.record)
	}))
}

func (w *world) record(msg jetstream.Msg) {
	w.inspect(msg.Subject(), msg.Data(), msg.Headers())
	var cmd contract.SubmitCommand
	if err := json.Unmarshal(msg.Data(), &cmd); err != nil {
		w.t.Errorf("a command cannot be decoded: %v", err)
	}
	var reply contract.SubmitReply
	for _, s := range cmd.Submissions {
		w.recorded <- s
		w.mu.Lock()
		judge := w.verdict
		w.mu.Unlock()
		if v, ok := judge(s); ok {
			v.Ref = s.Ref
			reply.Verdicts = append(reply.Verdicts, v)
		}
	}
	if body, err := json.Marshal(reply); err == nil && len(reply.Verdicts) > 0 {
		_ = w.nc.Publish(msg.Headers().Get(contract.HeaderReplyTo), body)
	}
	_ = msg.Ack()
}

// finish publishes the event of a finished job, in a pack with others.
func (w *world) finish(jobID string, status contract.Status) {
	w.t.Helper()
	pack := []contract.Event{jobEvent(uuid.NewString(), contract.StatusFailed), jobEvent(jobID, status)}
	body, err := contract.EncodeEvents(pack)
	require.NoError(w.t, err)
	subject, err := contract.EventSubject(contract.AreaJob, string(status), contract.JobAnalyze)
	require.NoError(w.t, err)
	require.NoError(w.t, w.nc.Publish(subject, body))
	require.NoError(w.t, w.nc.Flush())
}

func jobEvent(jobID string, status contract.Status) contract.Event {
	change := contract.JobChange{JobID: jobID, JobType: contract.JobAnalyze, Status: status, Version: 3}
	if status == contract.StatusFailed {
		change.ErrorText = "it broke"
	}
	data, err := json.Marshal(change)
	if err != nil {
		panic(err)
	}
	return contract.Event{
		ID: contract.JobEventID(jobID, 3), Type: contract.EventType(contract.AreaJob, string(status)), Time: time.Now(), Source: "nexus.jobs", Data: data,
	}
}

// events hears the event messages of an area, from the first.
func (w *world) events(area string) <-chan contract.Event {
	w.t.Helper()
	ch := make(chan contract.Event, 1000)
	w.follow(contract.StreamEvents, "nexus.events."+area+".>", func(m jetstream.Msg) {
		events, err := contract.DecodeEvents(m.Data())
		if err != nil {
			w.t.Errorf("%s carries no events: %v", m.Subject(), err)
		}
		for _, e := range events {
			ch <- e
		}
	})
	return ch
}

// follow reads a stream as it grows.
func (w *world) follow(stream, filter string, handle jetstream.MessageHandler) {
	w.t.Helper()
	cons, err := w.js.OrderedConsumer(w.t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	require.NoError(w.t, err)
	reading, err := cons.Consume(handle)
	require.NoError(w.t, err)
	w.t.Cleanup(reading.Stop)
}

// instance is a running gateway.
type instance struct {
	w       *world
	address string
	// wire leads to the NATS server, nc goes over it.
	wire *wire
	nc   *nats.Conn
	stop func()
}

// setting changes how a gateway is started.
type setting func(*gateway.Config, *gateway.Deps)

func with(change func(*gateway.Config)) setting {
	return func(c *gateway.Config, _ *gateway.Deps) { change(c) }
}

func withDoor(_ *gateway.Config, d *gateway.Deps) { d.NATSDoor = true }

// listen opens a free port of this machine.
func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener
}

// gateway starts a gateway with the settings of a fresh installation, but a
// longer patience for sync submits.
func (w *world) gateway(settings ...setting) *instance {
	w.t.Helper()
	listener := listen(w.t)
	network := newWire(w.t, w.server.ClientURL())
	nc, err := bus.Connect(network.url(), "gateway", zerolog.New(w.log), nats.ReconnectBufSize(-1))
	require.NoError(w.t, err)
	w.t.Cleanup(nc.Close)
	cfg := gateway.Config{
		HTTPAddr: listener.Addr().String(), RawModeEnabled: true, AsyncEnabled: true, SyncWaitSeconds: 60, MaxBodyBytes: 1 << 20, MaxBatchBytes: 4 << 20, MaxPayloadBytes: maxPayload,
		ReadSilence: 30, ReadWhole: 600,
		SSEMaxPerKey: 16, SSEMaxTotal: 2000, SSEHeartbeatSeconds: 15, SSEMaxSeconds: 3600,
	}
	deps := gateway.Deps{
		NC: nc, JS: testkit.JetStream(w.t, nc), Listener: listener, Log: zerolog.New(w.log), Tracer: noop.NewTracerProvider(),
		Now: w.clock.now, Version: "1.2.3", Tokens: tokens(),
	}
	for _, s := range settings {
		s(&cfg, &deps)
	}
	require.NoError(w.t, cfg.Validate())
	s, err := gateway.New(cfg, deps)
	require.NoError(w.t, err)
	return &instance{w: w, address: listener.Addr().String(), wire: network, nc: nc, stop: testkit.Start(w.t, s.Components()...)}
}

// maxPayload is the largest payload of the gateways of these tests.
const maxPayload = 512 << 10

// start is a gateway in a world of its own.
func start(t testing.TB, settings ...setting) (*world, *instance) {
	t.Helper()
	w := newWorld(t)
	return w, w.gateway(settings...)
}
