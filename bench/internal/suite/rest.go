package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/rest"
	"nexus.internal/libs/contract"
)

const (
	healthConnections = 64
	// afterRefusal is how long a submitter that was refused holds back.
	afterRefusal = 20 * time.Millisecond
	// readEvery is how often a reader without events asks for a job.
	readEvery = 500 * time.Microsecond
	// idleWithin bounds the life of a job of an idle system.
	idleWithin = 30 * time.Second
)

// REST measures what can be seen through the REST API alone.
type REST struct {
	*notes
	addr, key string
	bodies    [][]byte
}

// NewREST makes a suite for the nexus at addr, host:port, with an API key that
// may submit jobs. progress is told each rate as it is known.
func NewREST(addr, key string, payloads []json.RawMessage, opts Options, sheet *figure.Sheet, progress io.Writer) *REST {
	bodies := make([][]byte, len(payloads))
	for i, p := range payloads {
		bodies[i] = rest.SubmitBody(p)
	}
	return &REST{notes: &notes{opts: opts, sheet: sheet, progress: progress}, addr: addr, key: key, bodies: bodies}
}

// Round measures everything once. The jobs stay: it is somebody's nexus.
func (r *REST) Round(ctx context.Context) error {
	steps := []func(context.Context) error{r.health, r.access}
	for _, s := range submits() {
		steps = append(steps, func(ctx context.Context) error { return r.submits(ctx, s.name, s.connections) })
	}
	for _, step := range append(steps, r.drained, r.idleRead) {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.settleCounts()
	return nil
}

type submitPhase struct {
	name        string
	connections int
}

func submits() []submitPhase {
	return []submitPhase{{figure.SubmitREST16, 16}, {figure.SubmitREST64, 64}, {figure.SubmitREST256, 256}}
}

// health measures the door alone.
func (r *REST) health(ctx context.Context) error {
	client := rest.New(r.addr, r.key, healthConnections)
	defer client.Close()
	return r.measured(figure.FloorHTTP, func() (pace.Result, error) {
		return pace.Timed(ctx, healthConnections, r.opts.Phase, func(context.Context, int, int) (int, error) { return 1, client.Healthy() })
	})
}

// submits measures submitting one job a request.
func (r *REST) submits(ctx context.Context, name string, connections int) error {
	client := rest.New(r.addr, r.key, connections)
	defer client.Close()
	var latencies pace.Latencies
	err := r.measured(name, func() (pace.Result, error) {
		return pace.Timed(ctx, connections, r.opts.Phase, func(ctx context.Context, goroutine, turn int) (int, error) {
			start := time.Now()
			n, err := r.submit(ctx, client, goroutine+turn)
			latencies.Add(time.Since(start))
			return n, err
		})
	})
	r.sheet.PutLatencies(name, &latencies)
	return err
}

// submit submits one job and returns how many are committed by that: a job that
// is only accepted does not count, nor does one that was refused for now.
func (r *REST) submit(ctx context.Context, client *rest.Client, i int) (int, error) {
	out, err := client.Submit(r.bodies[i%len(r.bodies)])
	switch {
	case errors.Is(err, rest.ErrRefused):
		r.refused.Add(1)
		return 0, pace.Pause(ctx, afterRefusal)
	case err != nil:
		return 0, err
	case !out.Confirmed():
		r.unconfirmed.Add(1)
		return 0, nil
	default:
		return 1, nil
	}
}

// drained waits until a job that is submitted now ends, and so all before it.
func (r *REST) drained(ctx context.Context) error {
	client := rest.New(r.addr, r.key, 1)
	defer client.Close()
	out, err := client.Submit(r.bodies[0])
	if err != nil {
		return fmt.Errorf("wait for the jobs before: %w", err)
	}
	return pace.Until(ctx, "the jobs submitted so far have ended", 20*time.Millisecond, 3*time.Minute, func(context.Context) (bool, error) {
		job, err := client.Job(out.JobID)
		return job.Status.Finished(), err
	})
}

// idleRead measures how soon a reader that asks again and again sees a job done
// when nothing else is going on.
func (r *REST) idleRead(ctx context.Context) error {
	client := rest.New(r.addr, r.key, 1)
	defer client.Close()
	var done pace.Latencies
	for i := range r.opts.IdleJobs {
		if err := pace.Pause(ctx, idleGap()); err != nil {
			return err
		}
		start := time.Now()
		out, err := client.Submit(r.bodies[i%len(r.bodies)])
		if err != nil {
			return fmt.Errorf("submit to an idle system: %w", err)
		}
		if err := awaitDone(ctx, client, out.JobID); err != nil {
			return err
		}
		done.Add(time.Since(start))
	}
	r.sheet.PutLatencies(figure.IdleDoneRead, &done)
	return nil
}

func awaitDone(ctx context.Context, client *rest.Client, id string) error {
	return pace.Until(ctx, "job "+id+" has ended", readEvery, idleWithin, func(context.Context) (bool, error) {
		job, err := client.Job(id)
		if err == nil && job.Status.Finished() && job.Status != contract.StatusSucceeded {
			err = fmt.Errorf("job %s %s", id, job.Status)
		}
		return job.Status.Finished(), err
	})
}

// idleGap lets an idle system come to rest, and meets its timers at no fixed
// moment.
func idleGap() time.Duration {
	return 3*time.Millisecond + rand.N(12*time.Millisecond)
}
