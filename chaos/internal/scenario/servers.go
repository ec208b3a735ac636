package scenario

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"nexus.internal/chaos/internal/cluster"
)

// killNATS kills the broker again and again.
func killNATS(ctx context.Context, s *stage) error {
	for s.pause(s.between(time.Second, 4*time.Second)) {
		s.note("kill", cluster.NATS)
		s.cluster.Process(cluster.NATS).Kill()
		s.pause(s.between(0, 2*time.Second))
		s.note("start", cluster.NATS)
		if err := s.cluster.Process(cluster.NATS).Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deleteStore takes everything the broker has, as a lost disk would: once with
// jobs that wait in it, for want of workers, and once with jobs that run.
func deleteStore(ctx context.Context, s *stage) error {
	s.pause(s.window / 6)
	for _, name := range cluster.Workers() {
		s.note("kill", name)
		s.cluster.Process(name).Kill()
	}
	s.pause(s.window / 6)
	if err := s.loseStore(ctx); err != nil {
		return err
	}
	for _, name := range cluster.Workers() {
		s.note("start", name)
		if err := s.cluster.Process(name).Start(ctx); err != nil {
			return err
		}
	}
	s.pause(s.window / 3)
	return s.loseStore(ctx)
}

// loseStore kills the broker, deletes its store and starts it.
func (s *stage) loseStore(ctx context.Context) error {
	s.note("kill and delete the store of", cluster.NATS)
	s.cluster.Process(cluster.NATS).Kill()
	if err := s.cluster.ReplaceStore(""); err != nil {
		return err
	}
	return s.startNATSAnew(ctx)
}

// startNATSAnew starts a broker that has lost something and does what an
// operator is told to do then.
func (s *stage) startNATSAnew(ctx context.Context) error {
	s.note("start", cluster.NATS)
	if err := s.cluster.Process(cluster.NATS).Start(ctx); err != nil {
		return err
	}
	s.note("rebuild", cluster.NATS)
	return s.cluster.Run(ctx, "rebuild-broker")
}

// rollBackStore puts an old copy of the broker's store back, as a disk that lost
// its last writes, or a restored backup, would.
func rollBackStore(ctx context.Context, s *stage) error {
	s.pause(s.window / 5)
	nats := s.cluster.Process(cluster.NATS)
	s.note("stop and copy the store of", cluster.NATS)
	if err := nats.Stop(); err != nil {
		return err
	}
	backup := filepath.Join(filepath.Dir(s.cluster.NATSStore()), "nats-backup")
	if err := s.cluster.CopyStore(backup); err != nil {
		return err
	}
	if err := nats.Start(ctx); err != nil {
		return err
	}
	s.pause(s.window / 2)
	s.note("kill and roll back the store of", cluster.NATS)
	nats.Kill()
	if err := s.cluster.ReplaceStore(backup); err != nil {
		return err
	}
	return s.startNATSAnew(ctx)
}

// killPostgres kills the database again and again.
func killPostgres(ctx context.Context, s *stage) error {
	for s.pause(s.between(time.Second, 4*time.Second)) {
		s.note("kill", "postgres")
		if err := s.cluster.Postgres.Kill(ctx); err != nil {
			return err
		}
		s.pause(s.between(0, 2*time.Second))
		s.note("start", "postgres")
		if err := s.cluster.Postgres.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bouncePostgres stops the database in order and starts it again, every 5 to 15
// seconds, or as often as fits a short run.
func bouncePostgres(ctx context.Context, s *stage) error {
	low, high := 5*time.Second, 15*time.Second
	if s.window < 30*time.Second {
		low, high = s.window/6, s.window/3
	}
	for s.pause(s.between(low, high)) {
		s.note("stop", "postgres")
		if err := s.cluster.Postgres.Stop(ctx); err != nil {
			return err
		}
		s.pause(s.between(0, 3*time.Second))
		s.note("start", "postgres")
		if err := s.cluster.Postgres.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// removeData deletes the data of a cluster that has ended; logs and history
// stay.
func removeData(dir string) error { return os.RemoveAll(filepath.Join(dir, "data")) }
