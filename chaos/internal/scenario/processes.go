package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nexus.internal/chaos/internal/cluster"
	"nexus.internal/chaos/internal/history"
	"nexus.internal/chaos/internal/proxy"
)

// killServices kills one service after the other, sometimes two at once.
func killServices(ctx context.Context, s *stage) error {
	for s.pause(s.between(200*time.Millisecond, 1200*time.Millisecond)) {
		victims := []string{pick(s, cluster.Services())}
		if other := pick(s, cluster.Services()); s.random.IntN(4) == 0 && other != victims[0] {
			victims = append(victims, other)
		}
		for _, name := range victims {
			s.note("kill", name)
			s.cluster.Process(name).Kill()
		}
		s.pause(s.between(0, 800*time.Millisecond))
		for _, name := range victims {
			s.note("start", name)
			if err := s.cluster.Process(name).Start(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// restartInTurn restarts every service in order, as a deployment does.
func restartInTurn(ctx context.Context, s *stage) error {
	names := cluster.Services()
	for {
		s.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			if !s.pause(s.between(100*time.Millisecond, 500*time.Millisecond)) {
				return nil
			}
			s.note("stop", name)
			if err := s.cluster.Process(name).Stop(); err != nil {
				return err
			}
			s.note("start", name)
			if err := s.cluster.Process(name).Start(ctx); err != nil {
				return err
			}
		}
	}
}

// stopWorkers leaves nobody to run jobs for half of the time.
func stopWorkers(ctx context.Context, s *stage) error {
	s.pause(s.window / 6)
	for _, name := range cluster.Workers() {
		s.note("stop", name)
		if err := s.cluster.Process(name).Stop(); err != nil {
			return err
		}
	}
	s.pause(s.window / 2)
	for _, name := range cluster.Workers() {
		s.note("start", name)
		if err := s.cluster.Process(name).Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// freezeWorkers stops workers where they stand until others have taken over
// what they held, and lets them go on.
func freezeWorkers(ctx context.Context, s *stage) error {
	frozen := 0
	for s.pause(s.between(300*time.Millisecond, time.Second)) {
		held, err := s.freeze(ctx, pick(s, []string{cluster.JobsWorker, cluster.JobsWorker, cluster.Corpus}))
		if err != nil {
			return err
		}
		if held > 0 {
			frozen++
		}
	}
	if frozen == 0 {
		return errors.New("no worker was frozen while it held a job: give it more time")
	}
	return nil
}

// sentBefore is how long what a worker said before it froze may be on its way.
const sentBefore = 700 * time.Millisecond

// freeze freezes a worker past its lease if it holds a job, and returns how many
// jobs it held.
func (s *stage) freeze(ctx context.Context, name string) (held int, err error) {
	p := s.cluster.Process(name)
	if err := p.Freeze(); err != nil {
		return 0, err
	}
	defer func() {
		s.note("thaw", p.Worker())
		err = errors.Join(err, p.Thaw())
	}()
	if err := wait(ctx, sentBefore); err != nil {
		return 0, err
	}
	jobs, err := s.database.Held(ctx, p.Worker())
	if err != nil || len(jobs) == 0 {
		return 0, err
	}
	s.file.Add(history.Record{Disturbance: &history.Disturbance{What: "freeze", Target: p.Worker(), Held: jobs}})
	deadline, cancel := context.WithTimeout(ctx, 10*cluster.Lease)
	defer cancel()
	for {
		left, err := s.database.Held(deadline, p.Worker())
		if err == nil && len(left) == 0 {
			// They run elsewhere before it wakes up.
			return len(jobs), wait(ctx, cluster.Lease)
		}
		if err := wait(deadline, 100*time.Millisecond); err != nil {
			return len(jobs), fmt.Errorf("%s is frozen past its lease and still holds %d jobs: %w", name, len(left), err)
		}
	}
}

// loseAcks loses what workers say to the broker, or are told by it, for a while,
// and cuts their connections.
func loseAcks(_ context.Context, s *stage) error {
	for s.pause(s.between(500*time.Millisecond, 2*time.Second)) {
		name := pick(s, []string{cluster.JobsWorker, cluster.Corpus})
		direction, what := proxy.FromClient, "lose what it says"
		if s.random.IntN(2) == 0 {
			direction, what = proxy.FromServer, "lose what it is told"
		}
		s.note(what, name)
		s.proxies[name].Lose(direction)
		s.pause(s.between(500*time.Millisecond, 5*time.Second))
		s.note("cut", name)
		s.proxies[name].Restore()
	}
	return nil
}
