package report

import "nexus.internal/bench/internal/figure"

// Goal is what a figure ought to be: a multiple of River's, or of another of our
// own, in the same run, or an amount.
type Goal struct {
	Title string
	// Ours is the figure; Rivals is what it is held against, "" where the goal is
	// an amount.
	Ours, Rivals string
	// Kind is how both are shown.
	Kind figure.Kind
	// Bound is the multiple or the amount.
	Bound float64
	// AtMost turns it round: the figure must not be above Bound.
	AtMost bool
}

// Goals are the goals in the order they are shown.
func Goals() []Goal {
	return []Goal{
		{Title: "submit over REST, one job a request, 256 connections", Ours: figure.SubmitREST256, Rivals: figure.RiverInsert, Kind: figure.Rate, Bound: 3},
		{Title: "submit over REST in batches of 500, against InsertManyFast of 500", Ours: figure.SubmitBatch500, Rivals: figure.RiverInsertBatch, Kind: figure.Rate, Bound: 1},
		{Title: "drain, 100 workers", Ours: figure.Drain, Rivals: figure.RiverDrain100, Kind: figure.Rate, Bound: 2},
		{Title: "drain, 2,000 workers", Ours: figure.Drain2000, Rivals: figure.RiverDrain2000, Kind: figure.Rate, Bound: 1.5},
		{Title: "both at once, 256 producers one at a time, against 16", Ours: figure.TogetherREST256, Rivals: figure.RiverTogether, Kind: figure.Rate, Bound: 3},
		{Title: "both at once in batches of 100", Ours: figure.TogetherBatch100, Rivals: figure.RiverTogetherBatch, Kind: figure.Rate, Bound: 2},
		{Title: "idle: submit → started, p50", Ours: figure.P50(figure.IdleStartedEvent), Kind: figure.Latency, Bound: 1.5, AtMost: true},
		{Title: "idle: submit → started, p99", Ours: figure.P99(figure.IdleStartedEvent), Kind: figure.Latency, Bound: 8, AtMost: true},
		{Title: "idle: submit → done seen by a reader, p50", Ours: figure.P50(figure.IdleDoneEvent), Kind: figure.Latency, Bound: 2.5, AtMost: true},
		{Title: "idle: submit → done seen by a reader, p99", Ours: figure.P99(figure.IdleDoneEvent), Kind: figure.Latency, Bound: 8, AtMost: true},
		{Title: "idle: a request with a key that is known, over one that needs none, p50", Ours: figure.P50(figure.AccessCost), Kind: figure.Latency, Bound: 0.2, AtMost: true},
		{Title: "Postgres log per job", Ours: figure.WAL, Rivals: figure.RiverWAL, Kind: figure.Bytes, Bound: 0.5, AtMost: true},
		{Title: "memory of the process under load", Ours: figure.MemoryPeak, Kind: figure.Mebibytes, Bound: 150, AtMost: true},
		{Title: "with many finished jobs: submit, against none", Ours: figure.FullSubmitREST256, Rivals: figure.SubmitREST256, Kind: figure.Rate, Bound: .85},
		{Title: "with many finished jobs: drain, against none", Ours: figure.FullDrain, Rivals: figure.Drain, Kind: figure.Rate, Bound: .85},
		{Title: "with many finished jobs: both at once, against none", Ours: figure.FullTogetherREST256, Rivals: figure.TogetherREST256, Kind: figure.Rate, Bound: .85},
		{Title: "three processes of jobs and workers: drain, against one", Ours: figure.ThreeDrain, Rivals: figure.Drain, Kind: figure.Rate, Bound: 1},
		{Title: "three processes of jobs and workers: both at once, against one", Ours: figure.ThreeTogetherREST256, Rivals: figure.TogetherREST256, Kind: figure.Rate, Bound: 1},
		{Title: "jobs lost", Ours: figure.Lost, Kind: figure.Count, Bound: 0, AtMost: true},
		{Title: "jobs run twice", Ours: figure.Twice, Kind: figure.Count, Bound: 0, AtMost: true},
	}
}

// outcome is how a goal turned out.
type outcome struct {
	ours, rivals float64
	// found says that our figure is there, compared that all it is held against
	// is there too.
	found, compared bool
	// ratio is ours to River's, where that is the goal.
	ratio float64
	met   bool
}

func (g Goal) judge(s *figure.Sheet) outcome {
	var o outcome
	o.ours, o.found = s.Median(g.Ours)
	if g.Kind == figure.Count {
		// One lost job in one round is one too many.
		_, o.ours = s.Range(g.Ours)
	}
	o.compared = o.found
	value := o.ours
	if g.Rivals != "" {
		o.rivals, o.compared = s.Median(g.Rivals)
		o.compared = o.compared && o.found && o.rivals > 0
		if o.compared {
			o.ratio = o.ours / o.rivals
		}
		value = o.ratio
	}
	if g.AtMost {
		o.met = o.compared && value <= g.Bound
	} else {
		o.met = o.compared && value >= g.Bound
	}
	return o
}
