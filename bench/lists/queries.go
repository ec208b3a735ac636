package main

import (
	"net/url"
	"strconv"
	"time"

	"nexus.internal/bench/internal/manyjobs"
)

// query is a list to ask for.
type query struct {
	name string
	// values are the filters; deep and offset say which page.
	values url.Values
	// deep asks for the page behind a cursor that 90 % of the time comes before.
	deep bool
	// counts asks for the counts per state instead.
	counts bool
}

// maxOffset is the largest offset that the REST API takes.
const maxOffset = 10_000_000

func filtered(name string, pairs ...string) query {
	q := query{name: name, values: url.Values{}}
	for i := 0; i < len(pairs); i += 2 {
		q.values.Set(pairs[i], pairs[i+1])
	}
	return q
}

func (q query) behindCursor() query {
	q.name, q.deep = q.name+"; deep cursor", true
	return q
}

func (q query) at(offset int) query {
	values := url.Values{"offset": {strconv.Itoa(offset)}}
	for name, v := range q.values {
		values[name] = v
	}
	q.name, q.values = q.name+"; offset "+strconv.Itoa(offset), values
	return q
}

// queries are every filter alone and combined. rows is how many jobs there are,
// the newest of which were made at now.
func queries(rows int, now time.Time) []query {
	at := func(share float64) string {
		return now.Add(-time.Duration(share * float64(manyjobs.Span))).UTC().Format(time.RFC3339)
	}
	run := "run:" + strconv.Itoa(rows/2/500)
	all := filtered("no filter")
	failed := filtered("status failed", "status", "failed")
	kind := filtered("type, every fifth", "job_type", "analyze")
	owner := filtered("owner, a busy one", "created_by", "owner-0")
	high := filtered("priority high, 1 in 200", "priority", "high")
	team := filtered("tag, 1 in 100", "tag", "team:7")
	out := []query{
		all, all.behindCursor(), all.at(1000), all.at(maxOffset),
		failed, failed.behindCursor(), failed.at(1000), failed.at(maxOffset),
		filtered("status succeeded", "status", "succeeded"), filtered("status cancelled", "status", "cancelled"),
		filtered("status queued", "status", "queued"), filtered("status running", "status", "running"), filtered("status retry_wait", "status", "retry_wait"),
		kind, kind.behindCursor(), kind.at(1000), kind.at(maxOffset), filtered("type, a rare one", "job_type", "integrity_audit"),
		owner, owner.behindCursor(), owner.at(1000), owner.at(maxOffset), filtered("owner, a rare one", "created_by", "rare"),
		high, high.behindCursor(), high.at(1000), high.at(maxOffset),
		filtered("priority normal", "priority", "normal"), filtered("priority low, 1 in 20", "priority", "low"),
		team, team.behindCursor(), team.at(1000), team.at(maxOffset),
		filtered("tag, of 50 jobs", "tag", run), filtered("tag, of 10,000 that are all old", "tag", "given-up"), filtered("tag, unknown", "tag", "nobody"),
		filtered("made after, yesterday", "created_after", at(0.01)), filtered("made after, 99 days ago", "created_after", at(0.99)),
		filtered("made before, 50 days ago", "created_before", at(0.5)), filtered("made before, 99.99 days ago", "created_before", at(0.9999)),
		filtered("made within a day, 80 days ago", "created_after", at(0.81), "created_before", at(0.8)),
	}
	out = append(out, combinations(at, run)...)
	return append(out, query{name: "counts per status", counts: true})
}

func combinations(at func(share float64) string, run string) []query {
	return []query{
		filtered("failed, type", "status", "failed", "job_type", "analyze"),
		filtered("failed, rare type", "status", "failed", "job_type", "integrity_audit"),
		filtered("failed, owner", "status", "failed", "created_by", "owner-0"),
		filtered("failed, owner of few jobs", "status", "failed", "created_by", "owner-39"),
		filtered("failed, rare owner: none", "status", "failed", "created_by", "rare"),
		filtered("failed, high", "status", "failed", "priority", "high"),
		filtered("failed, tag", "status", "failed", "tag", "team:7"),
		filtered("failed, old tag", "status", "failed", "tag", "given-up"),
		filtered("failed, before 50 days ago", "status", "failed", "created_before", at(0.5)),
		filtered("failed, owner, type, before 50 days ago", "status", "failed", "created_by", "owner-1", "job_type", "analyze", "created_before", at(0.5)),
		filtered("queued, type", "status", "queued", "job_type", "analyze"),
		filtered("queued, high: few", "status", "queued", "priority", "high"),
		filtered("succeeded, owner", "status", "succeeded", "created_by", "owner-0"),
		filtered("succeeded, type, within a day", "status", "succeeded", "job_type", "noop", "created_after", at(0.5), "created_before", at(0.49)),
		filtered("type, owner", "job_type", "analyze", "created_by", "owner-0"),
		filtered("type, owner who never uses it: none", "job_type", "analyze", "created_by", "importer"),
		filtered("rare type, busy owner", "job_type", "integrity_audit", "created_by", "owner-0"),
		filtered("type, high", "job_type", "analyze", "priority", "high"),
		filtered("owner, high", "created_by", "owner-5", "priority", "high"),
		filtered("type, tag", "job_type", "analyze", "tag", "team:7"),
		filtered("owner, tag", "created_by", "owner-5", "tag", "team:7"),
		filtered("owner, old tag", "created_by", "owner-5", "tag", "given-up"),
		filtered("high, tag", "priority", "high", "tag", "team:7"),
		filtered("tag of 50 jobs, before 40 days ago", "tag", run, "created_before", at(0.4)),
		filtered("tag, within a day", "tag", "team:7", "created_after", at(0.5), "created_before", at(0.49)),
		filtered("all but the time", "status", "succeeded", "job_type", "noop", "created_by", "owner-1", "priority", "low", "tag", "team:7"),
		filtered("all", "status", "failed", "job_type", "noop", "created_by", "owner-1", "priority", "low", "tag", "team:7", "created_after", at(0.9), "created_before", at(0.1)),
		filtered("no filter, limit 1,000", "limit", "1000"),
		filtered("owner, limit 1,000", "created_by", "owner-5", "limit", "1000"),
		filtered("tag, limit 1,000", "tag", "team:7", "limit", "1000"),
	}
}
