package embednats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/embed/internal/dirlock"
)

const (
	configName = "nats.conf"
	lockName   = "lock"
	// readyPatience bounds the wait for a server that has already started.
	readyPatience = 10 * time.Second
	// Clients over the network are told that the server goes, and disconnected
	// within this time.
	lameDuckDuration = 500 * time.Millisecond
	lameDuckGrace    = 50 * time.Millisecond
)

// ErrInUse says that another process runs a server on the same store folder.
var ErrInUse = errors.New("store folder in use")

// ErrListen says that the address for clients cannot be had.
var ErrListen = errors.New("cannot listen")

// Server is a NATS server inside this process. Its methods may be called from
// any goroutine.
type Server struct {
	log       zerolog.Logger
	lock      *dirlock.Lock
	dir       string // store folder
	temporary string // store folder to remove at the end; "" keeps it
	nats      *server.Server
	listens   bool
	clustered bool
	stopOnce  sync.Once
	// stopping ends what mends the server.
	stopping chan struct{}
	mending  sync.WaitGroup
}

// Start starts a server and returns when it takes connections. The
// configuration it runs on stays in the store folder as nats.conf. The error
// wraps ErrInUse when another program uses the store folder.
func Start(opts Options) (*Server, error) {
	s := &Server{log: opts.Log, listens: opts.Listen != "", clustered: opts.Cluster != nil, stopping: make(chan struct{})}
	if err := s.start(opts); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	return s, nil
}

func (s *Server) start(opts Options) error {
	dir, err := s.takeStoreDir(opts.StoreDir)
	if err != nil {
		return err
	}
	opts.StoreDir, s.dir = dir, dir
	text, err := opts.Config()
	if err != nil {
		return err
	}
	if opts.Cluster != nil {
		if err := errors.Join(checkMemberStore(dir), opts.Cluster.checkDoor()); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, configName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	loaded, err := server.ProcessConfigFile(path)
	if err != nil {
		return fmt.Errorf("load the configuration: %w", err)
	}
	// What a configuration file cannot say, or not that short.
	loaded.NoSigs = true
	loaded.DontListen = !s.listens
	loaded.LameDuckDuration = lameDuckDuration
	loaded.LameDuckGracePeriod = lameDuckGrace
	if opts.Cluster != nil {
		opts.Cluster.join(loaded)
	}
	return s.run(loaded, newLogger(opts.Log))
}

func (s *Server) run(loaded *server.Options, log *logger) error {
	var err error
	if s.nats, err = server.NewServer(loaded); err != nil {
		return fmt.Errorf("set the server up: %w", err)
	}
	s.nats.SetLoggerV2(log, false, false, false)
	s.nats.Start()
	select {
	case reason := <-log.fatal:
		if strings.HasPrefix(reason, "Error listening") {
			return fmt.Errorf("%w: %s", ErrListen, reason)
		}
		return errors.New(reason)
	default:
	}
	if !s.nats.ReadyForConnections(readyPatience) {
		return fmt.Errorf("not ready after %s", readyPatience)
	}
	m := &mender{nats: s.nats, clustered: s.clustered, opts: loaded, log: s.log.With().Str("component", "nats").Logger()}
	s.mending.Go(func() { m.run(s.stopping) })
	return nil
}

// takeStoreDir creates and locks the store folder. JetStream does not lock its
// files by itself.
func (s *Server) takeStoreDir(dir string) (string, error) {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "nexus-nats-")
		if err != nil {
			return "", fmt.Errorf("create a temporary store folder: %w", err)
		}
		s.temporary, dir = temporary, temporary
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the store folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create the store folder: %w", err)
	}
	s.lock, err = dirlock.Acquire(filepath.Join(dir, lockName))
	var held *dirlock.HeldError
	if errors.As(err, &held) {
		return "", fmt.Errorf("%w: process %s runs a server on %s: stop it, or choose another NEXUS_DATA_DIR",
			ErrInUse, held.PID, dir)
	}
	return dir, err
}

// ClientURL is where other processes connect to; "" when the server does not
// listen.
func (s *Server) ClientURL() string {
	if !s.listens {
		return ""
	}
	return s.nats.ClientURL()
}

// MonitorURL is where the monitoring pages are; "" when there are none.
func (s *Server) MonitorURL() string {
	if addr := s.nats.MonitorAddr(); addr != nil {
		return "http://" + addr.String()
	}
	return ""
}

// Room is how many bytes are free on the disk that holds the store folder; 0
// where that is not known.
func (s *Server) Room() int64 {
	free, _ := freeDisk(s.dir)
	return free
}

// ID is the server's public key, which names it on the system account's
// subjects.
func (s *Server) ID() string { return s.nats.ID() }

// Connect opens a connection inside the process, without the network, whether
// the server listens or not. Credentials and permissions apply as they do
// outside, but a refused connection learns of it late, after the server's write
// deadline of ten seconds: the pipe between the two holds no bytes.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	conn, err := nats.Connect("", append([]nats.Option{s.InProcess()}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to the NATS server of this process: %w", err)
	}
	return conn, nil
}

// Stop ends the server and waits until it has: clients over the network are
// told to go first, and everything JetStream acknowledged is written. Calling it
// again does nothing.
func (s *Server) Stop() {
	s.stopOnce.Do(func() {
		close(s.stopping)
		s.mending.Wait()
		if s.nats != nil {
			s.nats.LameDuckShutdown()
			s.nats.Shutdown()
			s.nats.WaitForShutdown()
		}
		var err error
		if s.temporary != "" {
			err = os.RemoveAll(s.temporary)
		}
		if s.lock != nil {
			err = errors.Join(err, s.lock.Release())
		}
		if err != nil {
			s.log.Warn().Err(err).Msg("could not clean up after the NATS server")
		}
	})
}
