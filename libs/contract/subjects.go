package contract

import (
	"fmt"
	"strings"
)

// Stream names. All streams live in the NEXUS account.
const (
	StreamCommands = "NEXUS_COMMANDS"
	StreamSubmit   = "NEXUS_SUBMIT"
	StreamRuns     = "NEXUS_RUNS"
	StreamEvents   = "NEXUS_EVENTS"
	StreamDead     = "NEXUS_DEAD"
	// StreamAccepted holds what the gateways promised before it was recorded.
	StreamAccepted = "NEXUS_ACCEPTED"
)

// Durable consumer names.
const (
	ConsumerRecorder = "jobs-recorder"
	ConsumerDoor     = "gateway-door"
	ConsumerAudit    = "audit-events"
	ConsumerDead     = "audit-dead"
	ConsumerWebhooks = "webhooks-events"
)

// SubjectSubmitJobs carries SubmitCommand messages from the gateways to the
// recorder.
const SubjectSubmitJobs = "nexus.cmd.jobs.submit"

// Subject patterns, for stream and subscription filters.
const (
	PatternCommands = "nexus.cmd.jobs.>"
	PatternSubmit   = "nexus.submit.>"
	// PatternStray matches what is published at the NATS door for no type of job.
	PatternStray    = "nexus.submit.*"
	PatternRuns     = "nexus.run.>"
	PatternEvents   = "nexus.events.>"
	PatternAccepted = "nexus.accepted.*"
	PatternDead     = "nexus.dead.>"
	// PatternJobEvents matches every job event, of any type of job.
	PatternJobEvents = "nexus.events.job.>"
	PatternCancel    = "nexus.ctl.cancel.*"
)

// EventsGet is where the broker hands out stored event messages; it changes and
// keeps nothing.
const EventsGet = "$JS.API.DIRECT.GET." + StreamEvents

// AcceptedGet is where the broker hands out the message of an accepted job; the
// job's subject follows it. It changes and keeps nothing.
const AcceptedGet = "$JS.API.DIRECT.GET." + StreamAccepted + "."

// StreamInfo is where the broker tells of a stream.
func StreamInfo(stream string) string { return "$JS.API.STREAM.INFO." + stream }

// Request subjects, answered by NATS micro services.
const (
	RPCAuthVerify = "nexus.rpc.auth.verify"
	RPCAuthOwner  = "nexus.rpc.auth.owner"
	// RPCAuthState is asked for the bearer of a token.
	RPCAuthState = "nexus.rpc.auth.state"

	RPCAuthKeys      = "nexus.rpc.auth.keys"
	RPCAuthKey       = "nexus.rpc.auth.key"
	RPCAuthKeyCreate = "nexus.rpc.auth.key_create"
	RPCAuthKeyUpdate = "nexus.rpc.auth.key_update"
	RPCAuthKeyRotate = "nexus.rpc.auth.key_rotate"

	RPCAuthToken   = "nexus.rpc.auth.token"
	RPCAuthRefresh = "nexus.rpc.auth.refresh"
	RPCAuthKeySet  = "nexus.rpc.auth.key_set"

	RPCAuthFeatures      = "nexus.rpc.auth.features"
	RPCAuthFeatureUpdate = "nexus.rpc.auth.feature_update"
	RPCAuthAllowed       = "nexus.rpc.auth.allowed"

	RPCJobsGet       = "nexus.rpc.jobs.get"
	RPCJobsList      = "nexus.rpc.jobs.list"
	RPCJobsCancel    = "nexus.rpc.jobs.cancel"
	RPCJobsTypes     = "nexus.rpc.jobs.types"
	RPCJobsClaim     = "nexus.rpc.jobs.claim"
	RPCJobsHeartbeat = "nexus.rpc.jobs.heartbeat"
	RPCJobsFinish    = "nexus.rpc.jobs.finish"
	RPCJobsPayload   = "nexus.rpc.jobs.payload"
	RPCJobsPut       = "nexus.rpc.jobs.put"
	// RPCJobsFinishLarge is RPCJobsFinish for runs whose outputs were put in parts. A
	// service of an older version, which would pass over them, does not hear it.
	RPCJobsFinishLarge = "nexus.rpc.jobs.finish_large"
	RPCJobsOutput      = "nexus.rpc.jobs.output"
	RPCJobsCounts      = "nexus.rpc.jobs.counts"
	RPCJobsRetry       = "nexus.rpc.jobs.retry"
	RPCJobsRetryMany   = "nexus.rpc.jobs.retry_many"
	RPCJobsSetType     = "nexus.rpc.jobs.set_type"
	RPCJobsWorkers     = "nexus.rpc.jobs.workers"
	RPCJobsQueues      = "nexus.rpc.jobs.queues"
	RPCJobsPause       = "nexus.rpc.jobs.pause"
	RPCJobsWebhooks    = "nexus.rpc.jobs.webhooks"

	RPCCorpusDocuments = "nexus.rpc.corpus.documents"
	RPCCorpusDocument  = "nexus.rpc.corpus.document"
	RPCCorpusText      = "nexus.rpc.corpus.text"
	RPCCorpusIngestJob = "nexus.rpc.corpus.ingest_job"

	RPCPluginsRuns     = "nexus.rpc.plugins.runs"
	RPCPluginsRun      = "nexus.rpc.plugins.run"
	RPCPluginsHealth   = "nexus.rpc.plugins.health"
	RPCPluginsShadow   = "nexus.rpc.plugins.shadow"
	RPCPluginsRhetoric = "nexus.rpc.plugins.rhetoric"

	RPCAuditLogs = "nexus.rpc.audit.logs"

	RPCDeadLetters       = "nexus.rpc.audit.dead_letters"
	RPCDeadLetter        = "nexus.rpc.audit.dead_letter"
	RPCDeadLetterReplay  = "nexus.rpc.audit.dead_letter_replay"
	RPCDeadLetterDiscard = "nexus.rpc.audit.dead_letter_discard"

	RPCWebhooks          = "nexus.rpc.webhooks.list"
	RPCWebhook           = "nexus.rpc.webhooks.get"
	RPCWebhookCreate     = "nexus.rpc.webhooks.create"
	RPCWebhookUpdate     = "nexus.rpc.webhooks.update"
	RPCWebhookDelete     = "nexus.rpc.webhooks.delete"
	RPCWebhookSecret     = "nexus.rpc.webhooks.secret"
	RPCWebhookDeliveries = "nexus.rpc.webhooks.deliveries"
	RPCWebhookRedeliver  = "nexus.rpc.webhooks.redeliver"
)

// SubjectPeers is where gateways tell each other that they are there.
const SubjectPeers = "nexus.ctl.gateway.peers"

// SubjectLogLevel is where every service of every process is asked for its log level,
// or told another one, with a LogLevelRequest. Each that it concerns answers.
const SubjectLogLevel = "nexus.ctl.log_level"

// RPCTake is where the gateway with an id keeps its buckets.
func RPCTake(id string) string { return "nexus.rpc.gateway.take." + id }

// RPCPing is the subject on which a service says whether it can do its work.
func RPCPing(service string) string { return "nexus.rpc." + service + ".ping" }

// Queues group job types that are served by the same workers.
const (
	QueueCorpus  = "corpus"
	QueuePlugins = "plugins"
	// QueueBench carries the no-op jobs of the load programs; it has a worker
	// only where NEXUS_BENCH_JOBS_ENABLED is set.
	QueueBench = "bench"
)

// Priorities are the lanes of a queue. A job that asks for none is normal.
const (
	PriorityHigh   = "high"
	PriorityNormal = "normal"
	PriorityLow    = "low"
)

// Lane is one priority with its share of a queue's workers while all lanes
// have runs waiting.
type Lane struct {
	Priority string
	Weight   int
}

// Lanes lists the lanes of every queue, most urgent first. The weights see to it
// that no lane starves.
func Lanes() []Lane {
	return []Lane{{PriorityHigh, 6}, {PriorityNormal, 3}, {PriorityLow, 1}}
}

// ValidPriority reports whether p names a lane.
func ValidPriority(p string) bool {
	for _, l := range Lanes() {
		if l.Priority == p {
			return true
		}
	}
	return false
}

// Message headers of Nexus. They keep their exact case on the wire.
const (
	// HeaderReplyTo names the inbox that waits for a command's answer. It is a
	// header because JetStream uses the reply subject for its own answer.
	HeaderReplyTo = "Nexus-Reply-To"
	// HeaderType is the versioned type of the message's body.
	HeaderType = "Nexus-Type"
	// HeaderSource names the service that published the message.
	HeaderSource = "Nexus-Source"
	// HeaderTime is when the message was made, RFC 3339 UTC.
	HeaderTime = "Nexus-Time"
	// HeaderTimeout is how long a requester still waits, in milliseconds.
	HeaderTimeout = "Nexus-Timeout-Ms"
	// HeaderRequestID is set by clients of the NATS door.
	HeaderRequestID = "Nexus-Request-Id"
	// HeaderReason, HeaderOrigin say why and from which subject a message
	// became a dead letter.
	HeaderReason = "Nexus-Reason"
	HeaderOrigin = "Nexus-Origin"
	// HeaderBodySize is the size of a dead letter's body before it was cut, in
	// bytes.
	HeaderBodySize = "Nexus-Body-Size"
)

// MaxToken is the longest word allowed inside a subject, in bytes.
const MaxToken = 64

// ValidToken reports whether s may stand as one word of a subject: 1 to
// MaxToken characters out of a-z, A-Z, 0-9, '_' and '-'.
func ValidToken(s string) bool {
	if s == "" || len(s) > MaxToken {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func subject(words ...string) (string, error) {
	for _, w := range words {
		if !ValidToken(w) {
			return "", fmt.Errorf("subject word %q: want 1 to %d of a-z A-Z 0-9 _ -", w, MaxToken)
		}
	}
	return strings.Join(words, "."), nil
}

// RunSubject is where a run message is published. id is the id of its first job.
func RunSubject(queue, priority, jobType, id string) (string, error) {
	return subject("nexus", "run", queue, priority, jobType, id)
}

// RunFilter matches the run messages of one queue and priority.
func RunFilter(queue, priority string) string {
	return "nexus.run." + queue + "." + priority + ".>"
}

// RunConsumer is the durable name of the workers of one queue and priority.
func RunConsumer(queue, priority string) string {
	return "run-" + queue + "-" + priority
}

// EventSubject is where an event message is published: nexus.events.<area>.<what>.<word>.
// The word is the job type for job events and the role for auth events.
func EventSubject(area, what, word string) (string, error) {
	return subject("nexus", "events", area, what, word)
}

// JobEventPattern matches the event messages that say a job reached status.
func JobEventPattern(status Status) string {
	return "nexus.events.job." + string(status) + ".*"
}

// AcceptedSubject is where a gateway says that it has accepted a job.
func AcceptedSubject(jobID string) (string, error) {
	return subject("nexus", "accepted", jobID)
}

// CancelSubject tells whoever runs the job to stop.
func CancelSubject(jobID string) (string, error) {
	return subject("nexus", "ctl", "cancel", jobID)
}

// SubmitSubject is the NATS door of one owner for one job type.
func SubmitSubject(owner, jobType string) (string, error) {
	return subject("nexus", "submit", owner, jobType)
}

// PluginSubject is where a plugin outside our processes is called, as a NATS micro
// service of any language; see PluginCall.
func PluginSubject(name string) (string, error) {
	return subject("nexus", "plugin", name)
}

// PatternPlugins matches every PluginSubject.
const PatternPlugins = "nexus.plugin.*"

// SubmitPattern is all that one owner may publish to.
func SubmitPattern(owner string) string { return "nexus.submit." + owner + ".>" }

// RejectionPattern matches the events that tell an owner which of their messages
// were refused.
func RejectionPattern(owner string) string {
	return "nexus.events." + AreaSubmit + "." + WhatRejected + "." + owner
}

// KickSubject is where a NATS server is told to end a connection.
func KickSubject(serverID string) string { return "$SYS.REQ.SERVER." + serverID + ".KICK" }

// KickPattern matches KickSubject for every server.
const KickPattern = "$SYS.REQ.SERVER.*.KICK"

// InboxPrefix is the prefix of the subjects on which a client of the NATS door
// hears answers; a client sets it as its inbox prefix. Nobody else may listen.
func InboxPrefix(owner string) string { return "_INBOX_" + owner }

// InboxPattern matches a client's answers.
func InboxPattern(owner string) string { return InboxPrefix(owner) + ".>" }

// ParseSubmitSubject splits a NATS door subject into owner and job type.
func ParseSubmitSubject(s string) (owner, jobType string, err error) {
	words := strings.Split(s, ".")
	if len(words) != 4 || words[0] != "nexus" || words[1] != "submit" {
		return "", "", fmt.Errorf("subject %q: want nexus.submit.<owner>.<job_type>", s)
	}
	if _, err := subject(words...); err != nil {
		return "", "", err
	}
	return words[2], words[3], nil
}

// SubmitOwner is the owner in a subject of the NATS door, whatever else is wrong with
// the subject.
func SubmitOwner(s string) (owner string, ok bool) {
	words := strings.SplitN(s, ".", 4)
	if len(words) < 3 || words[0] != "nexus" || words[1] != "submit" || !ValidToken(words[2]) {
		return "", false
	}
	return words[2], true
}

// DeadSubject is where a message that cannot be handled is kept.
func DeadSubject(service, reason string) (string, error) {
	return subject("nexus", "dead", service, reason)
}
