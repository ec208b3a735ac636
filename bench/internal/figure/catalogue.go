package figure

// Kind says what a figure is and so how it is shown.
type Kind string

// Kinds of figures.
const (
	// Rate is in operations a second, and has processor times beside it.
	Rate Kind = "rate"
	// Latency is in milliseconds: P50 and P99 of the name, not the name itself.
	Latency Kind = "latency"
	// Bytes a job, Seconds, Mebibytes, Share (from 0 to 1) and Count are what
	// they say.
	Bytes     Kind = "bytes"
	Seconds   Kind = "seconds"
	Mebibytes Kind = "mebibytes"
	Share     Kind = "share"
	Count     Kind = "count"
)

// Group says whose figure it is.
type Group string

// Groups of figures, in the order they are shown.
const (
	Floors  Group = "Floors"
	Nexus   Group = "Nexus"
	Full    Group = "Nexus with many finished jobs"
	Three   Group = "Nexus with three processes of jobs and workers"
	River   Group = "River"
	Machine Group = "Machine"
)

// Description describes one figure.
type Description struct {
	Name  string
	Group Group
	Kind  Kind
	Title string
}

// Catalogue describes every figure in the order they are shown.
func Catalogue() []Description {
	return []Description{
		{FloorHTTP, Floors, Rate, "GET /healthz, 64 connections"},
		{FloorInsert1, Floors, Rate, "Postgres insert and commit of one row, 1 connection"},
		{FloorInsert16, Floors, Rate, "the same, 16 connections"},
		{FloorInsertBatch, Floors, Rate, "Postgres insert of 500 rows a statement (unnest), 4 connections"},
		{FloorPublishSync, Floors, Rate, "JetStream publish, 16 synchronous"},
		{FloorPublishAsync, Floors, Rate, "JetStream publish, asynchronous"},
		{FloorInsert1, Floors, Latency, "Postgres insert and commit of one row"},

		{AccessRate, Nexus, Rate, "GET whoami with a key, 64 connections"},
		{AccessOpen, Nexus, Latency, "idle: GET /healthz, which needs no key"},
		{AccessKey, Nexus, Latency, "idle: GET whoami with a key, in turn with it"},
		{AccessCost, Nexus, Latency, "the difference: what knowing the caller costs"},
		{SubmitREST16, Nexus, Rate, "submit over REST, one job a request, 16 connections"},
		{SubmitREST64, Nexus, Rate, "the same, 64 connections"},
		{SubmitREST256, Nexus, Rate, "the same, 256 connections"},
		{SubmitCommands1, Nexus, Rate, "submit on the command stream, 1 job a command, 16 producers"},
		{SubmitCommands64, Nexus, Rate, "the same, 64 jobs a command"},
		{SubmitBatch500, Nexus, Rate, "submit over REST in batches of 500, 16 connections"},
		{Drain, Nexus, Rate, "drain of jobs enqueued before, until Postgres has all finished"},
		{Drain2000, Nexus, Rate, "the same with 2,000 workers, 1,900 of them in a second process"},
		{TogetherREST16, Nexus, Rate, "both at once, REST, 16 producers one at a time"},
		{TogetherREST256, Nexus, Rate, "the same, 256 producers"},
		{TogetherBatch100, Nexus, Rate, "both at once, REST, 16 producers, batches of 100"},
		{TogetherCommands, Nexus, Rate, "both at once, command stream, 16 producers, 64 jobs a command"},
		{SubmitREST16, Nexus, Latency, "submit over REST under load, 16 connections"},
		{SubmitREST64, Nexus, Latency, "the same, 64 connections"},
		{SubmitREST256, Nexus, Latency, "the same, 256 connections"},
		{IdleAnswered, Nexus, Latency, "idle: submit answered over REST"},
		{IdleBegun, Nexus, Latency, "idle: submit → handler begun, by the worker's clock"},
		{IdleStartedEvent, Nexus, Latency, "idle: submit → started, event seen by a reader"},
		{IdleDoneEvent, Nexus, Latency, "idle: submit → done, event seen by a reader"},
		{IdleDoneRead, Nexus, Latency, "idle: submit → done, seen by GET every 0.5 ms"},
		{WAL, Nexus, Bytes, "Postgres log, all services, enqueue and drain"},
		{AuditBehind, Nexus, Seconds, "audit trail complete after the last job of the drain was finished"},
		{MemoryPeak, Nexus, Mebibytes, "peak resident memory of the process, both at once, 256 producers"},
		{MemoryOwn, Nexus, Mebibytes, "proportional memory (PSS) at the end of that"},
		{Lost, Nexus, Count, "jobs lost"},
		{Twice, Nexus, Count, "jobs run twice"},
		{Unconfirmed, Nexus, Count, "submits answered before their commit (202)"},
		{Refused, Nexus, Count, "submits refused for now (429, 503)"},

		{FullSubmitREST256, Full, Rate, "submit over REST, one job a request, 256 connections"},
		{FullDrain, Full, Rate, "drain of jobs enqueued before"},
		{FullTogetherREST256, Full, Rate, "both at once, REST, 256 producers"},
		{FullSubmitREST256, Full, Latency, "submit over REST under load, 256 connections"},
		{FullRows, Full, Count, "finished jobs in the tables"},

		{ThreeDrain, Three, Rate, "drain of jobs enqueued before"},
		{ThreeTogetherREST256, Three, Rate, "both at once, REST, 256 producers"},
		{ThreeShared, Three, Share, "share of the drained jobs that the process with fewest ran"},

		{RiverInsert, River, Rate, "Insert, 16 producers"},
		{RiverInsertBatch, River, Rate, "InsertManyFast of 500, 16 producers"},
		{RiverDrain100, River, Rate, "drain, 100 workers"},
		{RiverDrain2000, River, Rate, "drain, 2,000 workers"},
		{RiverTogether, River, Rate, "both at once, 16 producers one at a time, 100 workers"},
		{RiverTogetherBatch, River, Rate, "the same in batches of 100"},
		{RiverIdleAnswered, River, Latency, "idle: Insert answered"},
		{RiverIdleBegun, River, Latency, "idle: Insert → handler begun"},
		{RiverIdleDone, River, Latency, "idle: Insert → done, seen by JobGet every 0.5 ms"},
		{RiverWAL, River, Bytes, "Postgres log, enqueue and drain with 100 workers"},

		{OtherProcesses, Machine, Share, "share of the machine that other processes used while measuring"},
	}
}

// known are the names under which figures may be kept.
func known() map[string]bool {
	names := map[string]bool{}
	for _, d := range Catalogue() {
		switch d.Kind {
		case Latency:
			names[P50(d.Name)], names[P99(d.Name)] = true, true
		case Rate:
			names[d.Name], names[CPUPlatform(d.Name)], names[CPUPostgres(d.Name)], names[CPUClient(d.Name)] = true, true, true, true
		default:
			names[d.Name] = true
		}
	}
	return names
}
