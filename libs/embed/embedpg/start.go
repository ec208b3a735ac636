package embedpg

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"nexus.internal/libs/embed/internal/dirlock"
)

// leftoverPatience is how long the processes of a killed server may hold on to
// its data.
const leftoverPatience = 10 * time.Second

// errLeftovers says that processes of a killed server still hold its data.
var errLeftovers = errors.New("processes of an earlier server still run")

// Start starts a private server and returns when it answers. The first start on
// a data folder creates the database; later ones take well under a second,
// unless the server must recover from a crash. ctx bounds the start, not the
// life of the server, which lasts until Stop.
//
// What an earlier run left behind is cleared up: a server that outlived its
// program is stopped, and a database that was never finished is made anew. The
// error wraps ErrInUse when another program uses the folder, ErrVersion when
// the data needs another PostgreSQL, ErrForeign when it belongs to somebody
// else, and ErrNotInstalled when there is no PostgreSQL.
func Start(ctx context.Context, opts Options) (*Server, error) {
	begun := time.Now()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	s := &Server{log: opts.Log, done: make(chan struct{})}
	if err := s.start(ctx, opts); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", errors.Join(err, s.cleanUp()))
	}
	go s.watch()
	s.log.Info().Int("pid", s.PID()).Str("folder", s.home.dir).Dur("took_ms", time.Since(begun)).Msg("private PostgreSQL server is ready")
	return s, nil
}

func (s *Server) start(ctx context.Context, opts Options) error {
	dataDir, err := s.takeDataDir(ctx, opts.DataDir)
	if err != nil {
		return err
	}
	if s.home, err = findHome(dataDir); err != nil {
		return err
	}
	if err := s.settle(ctx, dataDir); err != nil {
		return err
	}
	binDir, err := choosePrograms(ctx, opts.BinDir, s.home.cluster())
	if err != nil {
		return err
	}
	if blocked, err := s.home.account.unreachable(binDir); err != nil {
		return err
	} else if blocked != "" {
		return fmt.Errorf("user %s cannot reach the PostgreSQL programs in %s: no way through %s",
			s.home.account.name, binDir, blocked)
	}
	if err := s.home.makeCluster(ctx, binDir, opts.Durable, s.log); err != nil {
		return err
	}
	if s.socketDir, err = s.home.socketDir(); err != nil {
		return err
	}
	return s.launch(ctx, filepath.Join(binDir, "postgres"), dataDir, opts)
}

// takeDataDir opens and locks the data folder.
func (s *Server) takeDataDir(ctx context.Context, dir string) (string, error) {
	if dir == "" {
		temporary, err := temporaryDir(ctx)
		if err != nil {
			return "", err
		}
		s.temporary, dir = temporary, temporary
	}
	dataDir, err := openDataDir(dir)
	if err != nil {
		return "", err
	}
	s.lock, err = dirlock.Acquire(filepath.Join(dataDir, lockName))
	var held *dirlock.HeldError
	if errors.As(err, &held) {
		return "", fmt.Errorf("%w: process %s runs a server on %s: stop it, or choose another NEXUS_DATA_DIR",
			ErrInUse, held.PID, dataDir)
	}
	return dataDir, err
}

// settle clears up what earlier runs left in the home, and brings a database
// that lives elsewhere into its data folder.
func (s *Server) settle(ctx context.Context, dataDir string) error {
	if err := clearOrphan(ctx, s.home.cluster(), s.log); err != nil {
		return err
	}
	if err := s.home.account.own(filepath.Join(dataDir, lockName)); err != nil {
		return err
	}
	if s.home.dir == dataDir {
		return nil
	}
	moved, err := s.home.moveTo(dataDir)
	if !moved {
		s.log.Warn().Err(err).Str("data_dir", dataDir).Str("folder", s.home.dir).
			Msg("the database lives outside its data folder, and deleting that folder leaves it there")
		return nil
	}
	s.log.Info().Str("data_dir", dataDir).Str("folder", s.home.dir).Msg("moved the database into its data folder")
	s.home.dir = dataDir
	return err
}

// launch starts the server's process and waits until it answers, and tries
// again while processes of a killed server still hold the data.
func (s *Server) launch(ctx context.Context, program, dataDir string, opts Options) error {
	patience, cancel := context.WithTimeout(ctx, leftoverPatience)
	defer cancel()
	attempt := func() (bool, error) {
		err := s.launchOnce(ctx, program, dataDir, opts)
		if errors.Is(err, errLeftovers) && patience.Err() == nil {
			return false, nil
		}
		return true, err
	}
	// attempt gives up by itself, so that its last error is the one reported.
	return poll(context.WithoutCancel(ctx), attempt)
}

func (s *Server) launchOnce(ctx context.Context, program, dataDir string, opts Options) (err error) {
	output, err := s.openLog(dataDir)
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }()
	cmd := s.home.account.command(ctx, program)
	defer func() { err = errors.Join(err, letGo(cmd)) }()
	cluster, err := s.home.handOver(cmd, s.home.cluster())
	if err != nil {
		return err
	}
	socketDir, err := s.home.handOver(cmd, s.socketDir)
	if err != nil {
		return err
	}
	cmd.Args = append(cmd.Args, opts.arguments(cluster, socketDir)...)
	cmd.Stdout, cmd.Stderr = output, output
	if s.process, err = startProcess(cmd); err != nil {
		return fmt.Errorf("run %s as user %s: %w", program, s.home.account.name, err)
	}
	if err := s.await(ctx); err != nil {
		return s.giveUp(ctx, err)
	}
	return nil
}

// await waits until the server says it is ready and the database exists.
func (s *Server) await(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) {
		select {
		case <-s.process.done:
			return false, fmt.Errorf("the server ended: %w", s.process.ending())
		default:
		}
		pm, _, err := readPostmaster(s.home.cluster())
		return pm.ready && pm.pid == s.PID(), err
	})
	if err != nil {
		return err
	}
	return s.ensureDatabase(ctx)
}

// giveUp ends a server that did not become ready and explains why.
func (s *Server) giveUp(ctx context.Context, cause error) error {
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer cancel()
	stopErr := s.process.stop(stopCtx)
	if s.leftovers() {
		cause = fmt.Errorf("%w: %w", errLeftovers, cause)
	}
	return errors.Join(fmt.Errorf("%w%s", cause, tail(s.logPath, s.logStart)), stopErr)
}
