package metrics

import "strings"

// Kind says what a metric is.
type Kind string

// Kinds of metrics.
const (
	KindCounter   Kind = "counter"
	KindGauge     Kind = "gauge"
	KindHistogram Kind = "histogram"
	// KindObservedCounter is a counter whose total somebody else keeps.
	KindObservedCounter Kind = "observed counter"
)

// Definition says what a metric tells.
type Definition struct {
	Name string
	Kind Kind
	// Unit is s for seconds, By for bytes, or what is counted.
	Unit string
	// Labels are the names of its labels. The label service is set by the Set.
	Labels []string
	Help   string
	// Buckets bound the buckets of a histogram.
	Buckets []float64
	// Snapshot is its name in the snapshot, which adds the value of the label
	// SnapshotBy; empty where it is not in it.
	Snapshot, SnapshotBy string
}

// labelService is the label of the service that measures.
const labelService = "service"

func (d Definition) ofService() bool { return len(d.Labels) > 0 && d.Labels[0] == labelService }

// unit is the unit as OpenTelemetry writes it: what is only counted is in braces, and
// does not end up in the names of Prometheus.
func (d Definition) unit() string {
	switch d.Unit {
	case "s", "By":
		return d.Unit
	default:
		return "{" + d.Unit + "}"
	}
}

// Exposed is the name of the metric in the Prometheus exposition; histograms add
// _bucket, _sum and _count.
func (d Definition) Exposed() string {
	name := strings.NewReplacer(".", "_").Replace(d.Name)
	switch d.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if d.Kind == KindCounter || d.Kind == KindObservedCounter {
		name += "_total"
	}
	return name
}

// Metrics of the process.
const (
	BuildInfo    = "nexus.build.info"
	PushFailures = "nexus.otlp.push.failures"
	TraceSpans   = "nexus.trace.spans"
)

// Metrics of the gateway.
const (
	HTTPRequests  = "nexus.http.requests"
	HTTPDuration  = "nexus.http.request.duration"
	HTTPInFlight  = "nexus.http.requests.in_flight"
	AuthDecisions = "nexus.auth.decisions"
	LimitRefusals = "nexus.limit.refusals"
	DoorMessages  = "nexus.door.messages"
	EventStreams  = "nexus.event_streams.open"
)

// Metrics of the jobs service.
const (
	JobsQueued       = "nexus.jobs.queued"
	JobsRunning      = "nexus.jobs.running"
	JobsRetryWait    = "nexus.jobs.retry_wait"
	JobsBacklogAge   = "nexus.jobs.backlog.age"
	JobsCountAge     = "nexus.jobs.count.age"
	JobsSubmitted    = "nexus.jobs.submitted"
	JobsStarted      = "nexus.jobs.started"
	JobsFinished     = "nexus.jobs.finished"
	JobsAttempts     = "nexus.jobs.attempts"
	JobsRetries      = "nexus.jobs.retries"
	JobsRecoveries   = "nexus.jobs.lease_recoveries"
	JobsRedispatched = "nexus.jobs.redispatched"
	JobsStartDelay   = "nexus.jobs.start.delay"
	JobsRunDuration  = "nexus.jobs.run.duration"
	BatchSize        = "nexus.jobs.batch.size"
	BatchDuration    = "nexus.jobs.batch.duration"
)

// Metrics of what several services do.
const (
	WorkerSlots     = "nexus.worker.slots"
	WorkerRunning   = "nexus.worker.running"
	RPCDuration     = "nexus.rpc.duration"
	RPCRequests     = "nexus.rpc.requests"
	OutboxRows      = "nexus.outbox.rows"
	OutboxAge       = "nexus.outbox.oldest.age"
	OutboxRelayed   = "nexus.outbox.relayed"
	ConsumerLag     = "nexus.consumer.lag"
	ConsumerPending = "nexus.consumer.ack_pending"
	Redeliveries    = "nexus.consumer.redeliveries"
	ConsumerUp      = "nexus.consumer.up"
	DeadLetters     = "nexus.dead_letters"
	StreamMessages  = "nexus.stream.messages"
	StreamSize      = "nexus.stream.size"
	StreamLimit     = "nexus.stream.limit"
	PoolSize        = "nexus.db.pool.size"
	PoolMax         = "nexus.db.pool.max"
	PoolCheckedOut  = "nexus.db.pool.checked_out"
	PoolIdle        = "nexus.db.pool.idle"
	PoolOverflow    = "nexus.db.pool.overflow"
	PoolWaiting     = "nexus.db.pool.waiting"
	PoolWaits       = "nexus.db.pool.waits"
	PoolWaited      = "nexus.db.pool.wait"
)

// Metrics of plugins and webhooks.
const (
	PluginCalls       = "nexus.plugin.calls"
	PluginDuration    = "nexus.plugin.call.duration"
	PluginFallbacks   = "nexus.plugin.fallbacks"
	WebhookDeliveries = "nexus.webhook.deliveries"
	WebhookDuration   = "nexus.webhook.delivery.duration"
)

// Names of labels.
const (
	labelJobType = "job_type"
	labelOutcome = "outcome"
)

// quick are the buckets of what should take milliseconds, slow of what may take hours,
// both in seconds, and sizes those of how many.
func quick() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func slow() []float64 {
	return []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}
}
func sizes() []float64 { return []float64{1, 2, 5, 10, 20, 50, 100, 200, 500} }

// Catalog lists every metric of Nexus.
func Catalog() []Definition {
	var all []Definition
	for _, part := range [][]Definition{ofProcess(), ofGateway(), ofJobs(), ofServices(), ofPluginsAndWebhooks()} {
		all = append(all, part...)
	}
	return all
}

func ofProcess() []Definition {
	return []Definition{
		{Name: BuildInfo, Kind: KindGauge, Unit: "build", Labels: []string{"version"}, Help: "1, under the version of the program."},
		{Name: TraceSpans, Kind: KindObservedCounter, Unit: "span", Labels: []string{"outcome"}, Help: "Spans of traces: outcome is sent, or dropped for want of room or because the OTLP endpoint did not take them. Only where NEXUS_OTLP_ENDPOINT is set."},
		{Name: PushFailures, Kind: KindObservedCounter, Unit: "push", Help: "Pushes of metrics to the OTLP endpoint that failed. Only where NEXUS_OTLP_ENDPOINT is set."},
	}
}

func ofGateway() []Definition {
	return []Definition{
		{
			Name: HTTPRequests, Kind: KindCounter, Unit: "request", Labels: []string{"method", "path", "status"}, Snapshot: "http.status", SnapshotBy: "status",
			Help: "Requests answered. path is the pattern of the route; unmatched where there is no such route.",
		},
		{
			Name: HTTPDuration, Kind: KindHistogram, Unit: "s", Labels: []string{"method", "path"}, Buckets: quick(), Snapshot: "http.request",
			Help: "How long requests took; of an event stream, until it began.",
		},
		{Name: HTTPInFlight, Kind: KindGauge, Unit: "request", Help: "Requests that are being answered now."},
		{
			Name: AuthDecisions, Kind: KindCounter, Unit: "decision", Labels: []string{"door", labelOutcome}, Snapshot: "auth", SnapshotBy: labelOutcome,
			Help: "Who was let in: outcome is success, failure (no valid key or token) or denied (too low a role); door is http or nats.",
		},
		{
			Name: LimitRefusals, Kind: KindCounter, Unit: "refusal", Labels: []string{"limit"},
			Help: "What was refused for a limit: key (requests of a key), address (failed logins of an address), streams (open event streams), door (messages at the NATS door).",
		},
		{
			Name: DoorMessages, Kind: KindCounter, Unit: "message", Labels: []string{labelOutcome},
			Help: "Messages at the NATS door: outcome is accepted, refused (a dead letter now) or put_back (handled again later).",
		},
		{Name: EventStreams, Kind: KindGauge, Unit: "stream", Help: "Event streams that are open now."},
		{Name: StreamMessages, Kind: KindGauge, Unit: "message", Labels: []string{"stream"}, Help: "Messages in a stream of the broker. In NEXUS_COMMANDS, NEXUS_SUBMIT and NEXUS_RUNS they are work that waits."},
		{Name: StreamSize, Kind: KindGauge, Unit: "By", Labels: []string{"stream"}, Help: "Size of a stream of the broker."},
		{Name: StreamLimit, Kind: KindGauge, Unit: "By", Labels: []string{"stream"}, Help: "The largest size a stream may have. Streams of work refuse messages beyond it."},
	}
}

func ofJobs() []Definition {
	ofType := []string{labelJobType}
	return []Definition{
		{Name: JobsQueued, Kind: KindGauge, Unit: "job", Labels: ofType, Help: "Jobs that wait for their first run, those with a start time of their own included. Counted every few seconds; above about 20000 jobs at work, by a sample."},
		{Name: JobsRunning, Kind: KindGauge, Unit: "job", Labels: ofType, Help: "Jobs that a worker has claimed. Counted in the same way."},
		{Name: JobsRetryWait, Kind: KindGauge, Unit: "job", Labels: ofType, Help: "Jobs that wait for another attempt, or were put off. Counted in the same way."},
		{Name: JobsBacklogAge, Kind: KindGauge, Unit: "s", Labels: ofType, Help: "For how long the oldest job that may start has not been started."},
		{Name: JobsCountAge, Kind: KindGauge, Unit: "s", Help: "How long ago the jobs were counted; it grows while that cannot be done."},
		{Name: JobsSubmitted, Kind: KindCounter, Unit: "job", Labels: ofType, Snapshot: "jobs.submitted", SnapshotBy: labelJobType, Help: "Jobs recorded."},
		{Name: JobsStarted, Kind: KindCounter, Unit: "job", Labels: ofType, Snapshot: "jobs.started", SnapshotBy: labelJobType, Help: "Runs begun: claims that were granted. A job that is tried again counts again."},
		{
			Name: JobsFinished, Kind: KindCounter, Unit: "job", Labels: []string{labelJobType, labelOutcome}, Snapshot: "jobs.finished", SnapshotBy: labelOutcome,
			Help: "Jobs that ended: outcome is succeeded, failed or cancelled.",
		},
		{
			Name: JobsAttempts, Kind: KindCounter, Unit: "attempt", Labels: []string{labelJobType, labelOutcome},
			Help: "Runs that ended: outcome is succeeded, failed, cancelled, lease_expired, released (given back by a worker that stops), snoozed (put off by its handler) or deferred (something it needs was unavailable).",
		},
		{Name: JobsRetries, Kind: KindCounter, Unit: "job", Labels: ofType, Help: "Failed runs after which the job is tried again."},
		{Name: JobsRecoveries, Kind: KindCounter, Unit: "job", Labels: ofType, Help: "Runs ended for their worker, which went silent: the lease ran out."},
		{Name: JobsRedispatched, Kind: KindCounter, Unit: "job", Labels: []string{"queue"}, Help: "Jobs sent to their queue again because the message of their run was gone."},
		{Name: JobsStartDelay, Kind: KindHistogram, Unit: "s", Labels: ofType, Buckets: slow(), Snapshot: "jobs.start_delay", Help: "From the submit of a job to its first start, a start time of its own included."},
		{Name: JobsRunDuration, Kind: KindHistogram, Unit: "s", Labels: ofType, Buckets: slow(), Snapshot: "jobs.run", Help: "From the start of a job's last run to its end."},
		{Name: BatchSize, Kind: KindHistogram, Unit: "job", Labels: []string{"operation"}, Buckets: sizes(), Help: "Jobs of one transaction: operation is record, claim or finish."},
		{Name: BatchDuration, Kind: KindHistogram, Unit: "s", Labels: []string{"operation"}, Buckets: quick(), Help: "How long such a transaction took."},
	}
}

func ofServices() []Definition {
	ofService := []string{labelService}
	ofConsumer := []string{labelService, "stream", "consumer"}
	return []Definition{
		{Name: WorkerSlots, Kind: KindGauge, Unit: "job", Labels: []string{"queue"}, Help: "Jobs that the worker of a queue in this process may run at once."},
		{Name: WorkerRunning, Kind: KindGauge, Unit: "job", Labels: []string{"queue"}, Help: "Handlers at work in this process."},
		{Name: RPCRequests, Kind: KindCounter, Unit: "request", Labels: []string{labelService, "method", labelOutcome}, Help: "Requests of other services: outcome is ok or the kind of the fault, such as unavailable."},
		{Name: RPCDuration, Kind: KindHistogram, Unit: "s", Labels: []string{labelService, "method"}, Buckets: quick(), Help: "How long answering them took."},
		{Name: OutboxRows, Kind: KindGauge, Unit: "row", Labels: ofService, Help: "Rows in the outbox: what was committed and is not published, or published and not yet deleted. At most 10000 are counted."},
		{Name: OutboxAge, Kind: KindGauge, Unit: "s", Labels: ofService, Help: "Age of the oldest row. More than some seconds means that the broker does not take messages."},
		{Name: OutboxRelayed, Kind: KindCounter, Unit: "row", Labels: ofService, Help: "Rows that were left behind and published by the relay."},
		{Name: ConsumerLag, Kind: KindGauge, Unit: "message", Labels: ofConsumer, Help: "Messages that a consumer has not been given yet."},
		{Name: ConsumerPending, Kind: KindGauge, Unit: "message", Labels: ofConsumer, Help: "Messages that a consumer was given and has not acknowledged."},
		{Name: Redeliveries, Kind: KindGauge, Unit: "message", Labels: ofConsumer, Help: "Of these, those that were given more than once."},
		{Name: ConsumerUp, Kind: KindGauge, Unit: "consumer", Labels: ofConsumer, Help: "1 where the broker told of the consumer when it was last asked, else 0."},
		{Name: DeadLetters, Kind: KindCounter, Unit: "message", Labels: []string{"from"}, Help: "Messages that could not be handled and were kept as dead letters; from is the service that gave up on them. Counted by the audit service."},
		{Name: PoolSize, Kind: KindGauge, Unit: "connection", Labels: ofService, Help: "Connections that the database pool keeps open: NEXUS_DB_POOL_SIZE."},
		{Name: PoolMax, Kind: KindGauge, Unit: "connection", Labels: ofService, Help: "Connections that it may open at most, with NEXUS_DB_MAX_OVERFLOW."},
		{Name: PoolCheckedOut, Kind: KindGauge, Unit: "connection", Labels: ofService, Help: "Connections in use."},
		{Name: PoolIdle, Kind: KindGauge, Unit: "connection", Labels: ofService, Help: "Connections that are open and not in use."},
		{Name: PoolOverflow, Kind: KindGauge, Unit: "connection", Labels: ofService, Help: "Connections open beyond the size of the pool."},
		{Name: PoolWaiting, Kind: KindGauge, Unit: "request", Labels: ofService, Help: "Requests for a connection that wait for one now."},
		{Name: PoolWaits, Kind: KindObservedCounter, Unit: "request", Labels: ofService, Help: "Requests for a connection that had to wait for one."},
		{Name: PoolWaited, Kind: KindObservedCounter, Unit: "s", Labels: ofService, Help: "For how long, together."},
	}
}

func ofPluginsAndWebhooks() []Definition {
	return []Definition{
		{Name: PluginCalls, Kind: KindCounter, Unit: "call", Labels: []string{"plugin", labelOutcome}, Help: "Calls of plugins: outcome is ok, failed, timeout, resting (not called, it failed too often), refused, unsupported or cancelled."},
		{Name: PluginDuration, Kind: KindHistogram, Unit: "s", Labels: []string{"plugin"}, Buckets: quick(), Help: "How long calls of plugins took."},
		{Name: PluginFallbacks, Kind: KindCounter, Unit: "layer", Labels: []string{"layer"}, Help: "Layers that were not served by the first plugin of their profile."},
		{Name: WebhookDeliveries, Kind: KindCounter, Unit: "delivery", Labels: []string{labelOutcome}, Help: "Posts to webhooks: outcome is delivered, retried (tried again later) or failed (given up)."},
		{Name: WebhookDuration, Kind: KindHistogram, Unit: "s", Buckets: quick(), Help: "How long receivers took to answer."},
	}
}
