package embednats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

const (
	// lookEvery is how often the server is asked whether its streams take messages.
	lookEvery = 2 * time.Second
	// A stream that closes again soon after it was opened is opened again after
	// firstDelay, later after lastDelay.
	firstDelay, lastDelay = time.Second, 20 * time.Second
	// calmFor is how long streams must have been open for the next delay to be the
	// first again.
	calmFor = time.Minute
	// enoughDisk must be free before streams are opened again; of it the probe
	// writes a part, and leaves the rest to whoever else writes.
	enoughDisk = 32 << 20
	probeBytes = 1 << 20
)

// mender opens streams again that the server keeps closed. After a failed write
// the server takes no message for a stream, whatever becomes of the disk, until
// JetStream starts anew.
type mender struct {
	nats      *server.Server
	clustered bool
	opts      *server.Options
	log       zerolog.Logger
}

// run looks after the streams until stop is closed.
func (m *mender) run(stop <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var told bool
	var opened time.Time
	delay := firstDelay
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		cause := m.closed()
		if cause == "" {
			told = false
			continue
		}
		if !told {
			told = true
			m.log.Error().Str("cause", cause).Msg("the NATS server takes no messages; its streams are opened again once the disk can be written")
		}
		if time.Since(opened) < delay || !m.probe() {
			continue
		}
		if time.Since(opened) > calmFor {
			delay = firstDelay
		}
		if err := m.reopen(); err != nil {
			m.log.Error().Err(err).Msg("could not open the streams again; trying again")
		} else {
			m.log.Info().Msg("opened the streams again")
		}
		opened, delay = time.Now(), min(2*delay, lastDelay)
	}
}

// closed says why the server takes no messages; empty when it does. A member of a
// cluster whose JetStream runs may wait for a leader, which opening its streams again
// would not bring.
func (m *mender) closed() string {
	waits := m.clustered && m.nats.JetStreamEnabled()
	for _, e := range m.nats.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if e.Type == server.HealthzErrorJetStream && !waits || e.Type == server.HealthzErrorStream && strings.Contains(e.Error, "write error") {
			return e.Error
		}
	}
	return ""
}

// probe tells whether the disk that the streams are on can be written.
func (m *mender) probe() bool {
	if free, known := freeDisk(m.opts.StoreDir); known && free < enoughDisk {
		return false
	}
	f, err := os.CreateTemp(m.opts.StoreDir, "probe-*")
	if err != nil {
		return false
	}
	_, err = f.Write(bytes.Repeat([]byte{1}, probeBytes))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())) == nil
}

// reopen starts JetStream anew, with the settings it had. What was acknowledged
// is on the disk; clients keep their connections and ask again.
func (m *mender) reopen() error {
	if err := m.nats.ShutdownJetStream(); err != nil {
		return fmt.Errorf("stop JetStream: %w", err)
	}
	err := m.nats.EnableJetStream(&server.JetStreamConfig{
		StoreDir: m.opts.StoreDir, Strict: !m.opts.NoJetStreamStrict, SyncAlways: m.opts.SyncAlways, SyncInterval: m.opts.SyncInterval,
		MaxMemory: m.opts.JetStreamMaxMemory, MaxStore: m.opts.JetStreamMaxStore,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("start JetStream: %w", err), m.nats.ShutdownJetStream())
	}
	return nil
}
