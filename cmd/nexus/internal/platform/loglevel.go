package platform

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/run"
	"nexus.internal/libs/telemetry"
)

// programLog is the name under which a process logs what concerns all its services.
const programLog = "nexus"

// NewLevel is the log level that the settings name anew, or why they cannot be read.
type NewLevel struct {
	Level string
	Err   error
}

// followLevels gives all loggers each level that comes, until stop is called.
func followLevels(logs *telemetry.Logs, log zerolog.Logger, levels <-chan NewLevel) (stop func()) {
	if levels == nil {
		return func() {}
	}
	end := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		for {
			select {
			case <-end:
				return
			case level := <-levels:
				if level.Err != nil {
					log.Warn().Err(level.Err).Msg("the settings cannot be read anew; the log level stays as it is")
					continue
				}
				setLevel(logs, log, "", level.Level)
			}
		}
	})
	return func() {
		close(end)
		following.Wait()
	}
}

// setLevel changes the level of a service, or of all where it is empty, and says so
// at whichever of the two levels is heard.
func setLevel(logs *telemetry.Logs, log zerolog.Logger, service, level string) {
	const said = "the log level is set"
	before := log.Info().Str("log_level", level)
	before.Msg(said)
	if err := logs.Set(service, level); err != nil {
		log.Warn().Err(err).Msg("the log level stays as it is")
		return
	}
	if !before.Enabled() {
		log.Info().Str("log_level", level).Msg(said)
	}
}

// logLevel answers, for one service of this process, what its log level is, and
// changes it. Everybody who listens answers: there is one for each service of each
// process.
type logLevel struct {
	nc       *nats.Conn
	logs     *telemetry.Logs
	log      zerolog.Logger
	service  string
	instance string
}

func (p *process) logLevel(service string, b *base) run.Component {
	l := &logLevel{nc: b.nc, logs: p.logs, log: b.log, service: service, instance: p.worker.Name}
	return run.Func("log level of "+service, l.run)
}

func (l *logLevel) run(ctx context.Context, ready func()) error {
	sub, err := l.nc.Subscribe(contract.SubjectLogLevel, bus.Guarded(l.log, l.answer))
	if err != nil {
		return fmt.Errorf("listen for changes of the log level: %w", err)
	}
	ready()
	<-ctx.Done()
	if err := sub.Unsubscribe(); err != nil && !l.nc.IsClosed() {
		return fmt.Errorf("stop listening for changes of the log level: %w", err)
	}
	return nil
}

func (l *logLevel) answer(msg *nats.Msg) {
	var req contract.LogLevelRequest
	if err := contract.Decode(msg.Data, &req); err != nil {
		l.log.Warn().Err(err).Str(telemetry.FieldSubject, msg.Subject).Msg("a request for the log level cannot be read")
		return
	}
	if req.Service != "" && req.Service != l.service {
		return
	}
	if req.Level != "" && req.Level != l.logs.Level(l.service) {
		setLevel(l.logs, l.log, l.service, req.Level)
	}
	if req.Level != "" && req.Service == "" {
		// What concerns all services goes with them.
		setLevel(l.logs, zerolog.Nop(), programLog, req.Level)
	}
	if msg.Reply == "" {
		return
	}
	body, err := contract.Encode(contract.LogLevel{Service: l.service, Instance: l.instance, Level: l.logs.Level(l.service)})
	if err == nil {
		err = msg.Respond(body)
	}
	if err != nil {
		l.log.Warn().Err(err).Msg("could not say what the log level is")
	}
}
