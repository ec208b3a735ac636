// Package store is all the SQL of the jobs service. Every change of a job's
// state is made here, through the transitions of package job, in the same
// transaction as the outbox row that tells the world.
//
// When to do what is decided by the callers.
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/job"
)

// Store reads and writes the jobs schema.
type Store struct {
	db     *pg.DB
	outbox *outbox.Outbox
	now    func() time.Time
	// observe is told of changes once they are committed.
	observe func([]Change)

	measures measures
}

// New makes a store. now stamps events; leases and waits go by the clock of
// the database.
func New(db *pg.DB, box *outbox.Outbox, now func() time.Time) *Store {
	return &Store{db: db, outbox: box, now: now, observe: func([]Change) {}}
}

// Observe has fn told of all changes of jobs once they are committed. It is called
// before anything changes, and fn must not keep what it gets.
func (s *Store) Observe(fn func([]Change)) { s.observe = fn }

// Change is a job after a state change.
type Change = changed

// changed is a job after a state change, as the statements return it.
type changed struct {
	ID          uuid.UUID
	JobType     string
	Status      string
	Version     int
	Attempt     int
	MaxAttempts int
	Priority    string
	CreatedBy   string
	RequestID   *string
	TraceParent *string
	NextRunAt   *time.Time
	// Hooked is true where the job has a webhook, and otherwise nil.
	Hooked *bool
	// Event is what changed the job; empty where it was recorded.
	Event job.Event
	// Recovered says that it was the end of a lease that nobody renewed.
	Recovered bool
	// Worker and the error are filled in by the caller for the event.
	Worker               string
	ErrorText            string
	ErrorKind, ErrorCode string
	Actor                string
	// token is the lease under which a worker reported what changed the job, where
	// one did.
	token *uuid.UUID
	// runTrace is the trace of the run that ended with the change.
	runTrace string
	// ready says that the job may run again at once.
	ready bool
	// ranBefore says that the change ended a run, and ran how long that took; waited is
	// how long a run that begins was waited for since the submit, both in seconds.
	ranBefore   bool
	ran, waited float64
}

// changedColumns are the columns scanned by scanChanged, in order.
const changedColumns = `j.id, j.job_type, j.status, j.version, j.attempt_count, j.max_attempts, j.priority, j.created_by, j.request_id, j.trace_parent, j.next_run_at, j.hooked`

func scanChanged(rows pgx.Rows, more ...any) (changed, error) {
	var c changed
	dest := append([]any{&c.ID, &c.JobType, &c.Status, &c.Version, &c.Attempt, &c.MaxAttempts, &c.Priority, &c.CreatedBy, &c.RequestID, &c.TraceParent, &c.NextRunAt, &c.Hooked}, more...)
	if err := rows.Scan(dest...); err != nil {
		return c, fmt.Errorf("scan a changed job: %w", err)
	}
	return c, nil
}

// sources are the states an event may come from, as text for a statement.
func sources(t job.Transition) []string {
	out := make([]string, len(t.From))
	for i, s := range t.From {
		out[i] = string(s)
	}
	return out
}

// inTx runs fn in a transaction that writes at most one outbox row. The caller
// publishes the returned entry with Publish once it has answered whoever waits.
func (s *Store) inTx(ctx context.Context, fn func(tx *pg.Tx) (outbox.Entry, error)) (outbox.Entry, error) {
	var entry outbox.Entry
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		var err error
		entry, err = fn(tx)
		return err
	})
	if err != nil {
		// What was not committed must not be told.
		return outbox.Entry{}, err
	}
	return entry, nil
}

// change is inTx for changes of jobs: what is noted is counted, and told to the
// observer, once it is committed.
func (s *Store) change(ctx context.Context, fn func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error)) (outbox.Entry, error) {
	var noted []changed
	entry, err := s.inTx(ctx, func(tx *pg.Tx) (outbox.Entry, error) {
		noted = noted[:0]
		return fn(tx, func(jobs ...changed) { noted = append(noted, jobs...) })
	})
	if err == nil && len(noted) > 0 {
		s.measures.changed(noted)
		s.observe(noted)
	}
	return entry, err
}

// Publish sends the messages of a committed change. What it cannot send is left
// to the relay; the error is for the log.
func (s *Store) Publish(ctx context.Context, e outbox.Entry) error { return s.outbox.Publish(ctx, e) }

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }
