// Package journal writes the life of jobs into the log: one entry for each state
// change, with what ties it to its request, its trace and its worker.
//
// What happens in every job that goes well is said at debug: written for thousands of
// jobs a second, it would cost a good part of what they do. Whatever somebody may
// have to look at is said at info and above. Error texts may repeat payloads; the job
// has them, the log has their kind.
package journal

import (
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/telemetry"
	"nexus.internal/services/jobs/internal/job"
	"nexus.internal/services/jobs/internal/store"
)

// Write returns an observer that writes changes to log.
func Write(log zerolog.Logger) func([]store.Change) {
	return func(changes []store.Change) {
		for i := range changes {
			entry(log, &changes[i])
		}
	}
}

func entry(log zerolog.Logger, c *store.Change) {
	level, what := describe(c)
	e := log.WithLevel(level)
	if !e.Enabled() {
		return
	}
	telemetry.OfJob(e, c.ID.String(), c.JobType, deref(c.RequestID), deref(c.TraceParent))
	if c.Worker != "" {
		e.Str(telemetry.FieldWorker, c.Worker)
	}
	if c.Actor != "" && c.Actor != c.Worker {
		e.Str("actor", c.Actor)
	}
	if c.Event == "" {
		e.Str("created_by", c.CreatedBy)
	}
	if c.Attempt > 0 {
		e.Int("attempt", c.Attempt).Int("max_attempts", c.MaxAttempts)
	}
	if c.NextRunAt != nil && c.Event != job.Claim {
		e.Time("next_run_at", c.NextRunAt.UTC().Truncate(time.Millisecond))
	}
	if c.ErrorKind != "" {
		e.Str("error_kind", c.ErrorKind).Str("error_code", c.ErrorCode)
	}
	e.Msg(what)
}

// describe says how loud a change is, and what is said of it.
func describe(c *store.Change) (level zerolog.Level, what string) {
	switch {
	case c.Recovered && c.Event == job.Retry:
		return zerolog.WarnLevel, "job recovered: its worker went silent; it is tried again"
	case c.Recovered:
		return zerolog.WarnLevel, "job failed: its worker went silent, and no attempt is left"
	}
	switch c.Event {
	case job.Claim:
		return zerolog.DebugLevel, "job started"
	case job.Succeed:
		return zerolog.DebugLevel, "job succeeded"
	case job.Retry:
		return zerolog.InfoLevel, "job failed; it is tried again"
	case job.Exhaust:
		return zerolog.WarnLevel, "job failed for good"
	case job.Release:
		return zerolog.InfoLevel, "job given back by its worker"
	case job.Snooze:
		return zerolog.DebugLevel, "job put off"
	case job.Defer:
		return zerolog.InfoLevel, "job put off: something it needs is unavailable"
	case job.Cancel:
		return zerolog.InfoLevel, "job cancelled"
	case job.Requeue:
		return zerolog.InfoLevel, "job taken up again"
	default:
		return zerolog.DebugLevel, "job submitted"
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
