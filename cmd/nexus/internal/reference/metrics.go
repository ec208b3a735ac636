package reference

import (
	"fmt"
	"strings"

	"nexus.internal/libs/metrics"
)

const metricsHead = made + `# Metrics

What Nexus measures, by the names of Prometheus. There are three faces of one set of instruments:

- ` + "`GET /metrics/prometheus`" + ` is the text format of Prometheus: at the REST API for everything in the process of the gateway (all
  services, with ` + "`nexus up`" + `), and on ` + "`NEXUS_OPS_ADDR`" + ` for every process that runs alone.
- ` + "`GET /metrics`" + ` is a small snapshot as JSON: counters by name, timings with the average of all and the 95th percentile of the
  latest 2048, and the figures of the database pools. What was not measured is not in it.
- Where ` + "`NEXUS_OTLP_ENDPOINT`" + ` is set, everything is pushed there by OTLP over HTTP every ` + "`NEXUS_OTLP_METRICS_SECONDS`" + `: to the path
  ` + "`/v1/metrics`" + ` behind the endpoint's own, in place of a ` + "`/v1/traces`" + ` at its end. A push that fails is counted; the next has
  everything again, so nothing is kept for it and nothing waits. With ` + "`NEXUS_OTLP_METRICS_SECONDS=0`" + ` only traces are
  pushed, for an endpoint that takes nothing else.

Besides ` + "`/metrics/prometheus`" + ` and ` + "`/metrics`" + `, ` + "`NEXUS_OPS_ADDR`" + ` serves ` + "`/healthz`" + `, which says that the process is alive, and
` + "`/readyz`" + `, which is 503 and says in words what is missing until the process serves, while its NATS connection or its database
is away, and once it stops. None of them needs a key. ` + "`NEXUS_METRICS_ENABLED=false`" + ` measures nothing, and the metrics are empty.

Nothing is asked of the database or the broker when somebody looks: each owner counts now and then, and says what it knows.
Counters begin at zero when a process starts. Gauges come from the database and the broker, and are right after a restart
as soon as they were counted for the first time. Several replicas of the jobs service count the same jobs, so take
` + "`max`" + ` and not ` + "`sum`" + ` of its gauges over processes; the same holds for the outbox, consumers and streams.

The number of series is bounded. A label has at most 200 values, and those that come later are counted as ` + "`other`" + `; a metric
has at most 2000 series. Values are valid UTF-8 of at most 128 bytes. Owners, ids and raw paths are never values.

Besides these, a process tells of itself under the names ` + "`go_*`" + ` (goroutines, memory, garbage collection) and ` + "`process_*`" + `
(CPU, resident memory, open files; Prometheus only).

| metric | kind | unit | labels | in the snapshot | meaning |
|---|---|---|---|---|---|
`

// metricsPage lists the catalog of metrics.
func metricsPage() string {
	var b strings.Builder
	b.WriteString(metricsHead)
	for _, d := range metrics.Catalog() {
		unit, kind := d.Unit, string(d.Kind)
		switch d.Unit {
		case "s":
			unit = "seconds"
		case "By":
			unit = "bytes"
		}
		if d.Kind == metrics.KindObservedCounter {
			kind = string(metrics.KindCounter)
		}
		var labels []string
		for _, l := range d.Labels {
			labels = append(labels, "`"+l+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Exposed(), kind, unit, strings.Join(labels, ", "), inSnapshot(d), d.Help)
	}
	return b.String()
}

// inSnapshot is the name of a metric in the snapshot.
func inSnapshot(d metrics.Definition) string {
	switch {
	case d.Name == metrics.PoolSize, d.Name == metrics.PoolCheckedOut, d.Name == metrics.PoolOverflow:
		return "`" + strings.TrimPrefix(d.Name, "nexus.") + "`"
	case d.Snapshot == "":
		return ""
	case d.Kind == metrics.KindHistogram:
		return "`" + d.Snapshot + ".ms`"
	case d.SnapshotBy != "":
		return "`" + d.Snapshot + ".<" + d.SnapshotBy + ">`"
	default:
		return "`" + d.Snapshot + "`"
	}
}
