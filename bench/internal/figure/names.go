package figure

// Floors: what the servers of the run do without a platform on top.
const (
	FloorHTTP         = "floor.http"
	FloorInsert1      = "floor.insert_1"
	FloorInsert16     = "floor.insert_16"
	FloorInsertBatch  = "floor.insert_batch"
	FloorPublishSync  = "floor.publish_sync"
	FloorPublishAsync = "floor.publish_async"
)

// Nexus.
const (
	AccessRate        = "nexus.access_64"
	AccessOpen        = "nexus.access_open"
	AccessKey         = "nexus.access_key"
	AccessCost        = "nexus.access_cost"
	SubmitREST16      = "nexus.submit_rest_16"
	SubmitREST64      = "nexus.submit_rest_64"
	SubmitREST256     = "nexus.submit_rest_256"
	SubmitCommands1   = "nexus.submit_commands_1"
	SubmitCommands64  = "nexus.submit_commands_64"
	SubmitBatch500    = "nexus.submit_batch_500"
	Drain             = "nexus.drain"
	Drain2000         = "nexus.drain_2000"
	TogetherREST256   = "nexus.together_rest_256"
	TogetherREST16    = "nexus.together_rest_16"
	TogetherCommands  = "nexus.together_commands"
	TogetherBatch100  = "nexus.together_batch_100"
	IdleAnswered      = "nexus.idle_answered"
	IdleBegun         = "nexus.idle_begun"
	IdleStartedEvent  = "nexus.idle_started_event"
	IdleDoneEvent     = "nexus.idle_done_event"
	IdleDoneRead      = "nexus.idle_done_read"
	WAL               = "nexus.wal"
	AuditBehind       = "nexus.audit_behind"
	MemoryPeak        = "nexus.memory_peak"
	MemoryOwn         = "nexus.memory_own"
	Lost              = "nexus.lost"
	Twice             = "nexus.twice"
	Unconfirmed       = "nexus.unconfirmed"
	Refused           = "nexus.refused"
	OtherProcesses    = "machine.others"
	suffixP50         = ".p50"
	suffixP99         = ".p99"
	suffixCPUPlatform = ".cpu_platform"
	suffixCPUPostgres = ".cpu_postgres"
	suffixCPUClient   = ".cpu_client"
)

// The same with millions of finished jobs in the tables, and with three processes
// of the jobs service and its workers.
const (
	FullSubmitREST256   = "full.submit_rest_256"
	FullDrain           = "full.drain"
	FullTogetherREST256 = "full.together_rest_256"
	FullRows            = "full.rows"

	ThreeDrain           = "three.drain"
	ThreeTogetherREST256 = "three.together_rest_256"
	ThreeShared          = "three.shared"
)

// River.
const (
	RiverInsert        = "river.insert"
	RiverInsertBatch   = "river.insert_batch"
	RiverDrain100      = "river.drain_100"
	RiverDrain2000     = "river.drain_2000"
	RiverTogether      = "river.together"
	RiverTogetherBatch = "river.together_batch"
	RiverIdleAnswered  = "river.idle_answered"
	RiverIdleBegun     = "river.idle_begun"
	RiverIdleDone      = "river.idle_done"
	RiverWAL           = "river.wal"
)

// P50 names the median of a latency, in milliseconds.
func P50(name string) string { return name + suffixP50 }

// P99 names the 99th percentile of a latency, in milliseconds.
func P99(name string) string { return name + suffixP99 }

// CPUPlatform names the processor time of the nexus process in microseconds an
// operation of a rate.
func CPUPlatform(name string) string { return name + suffixCPUPlatform }

// CPUPostgres names that of Postgres.
func CPUPostgres(name string) string { return name + suffixCPUPostgres }

// CPUClient names that of the load program; River's workers are part of it.
func CPUClient(name string) string { return name + suffixCPUClient }
