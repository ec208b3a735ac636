package embednats

import (
	"fmt"

	"github.com/rs/zerolog"
)

// logger hands the server's log on: warnings as warnings, errors and what the
// server calls fatal as errors, and nothing below. It implements server.Logger.
type logger struct {
	log zerolog.Logger
	// fatal keeps the first fatal message. The server goes on as if nothing
	// happened after one, so Start has to look.
	fatal chan string
}

func newLogger(log zerolog.Logger) *logger {
	return &logger{log: log.With().Str("component", "nats").Logger(), fatal: make(chan string, 1)}
}

func (l *logger) Noticef(string, ...any) {}
func (l *logger) Debugf(string, ...any)  {}
func (l *logger) Tracef(string, ...any)  {}

func (l *logger) Warnf(format string, args ...any) {
	l.log.Warn().Str("detail", fmt.Sprintf(format, args...)).Msg("NATS server warning")
}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Error().Str("detail", fmt.Sprintf(format, args...)).Msg("NATS server error")
}

func (l *logger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	select {
	case l.fatal <- text:
	default:
	}
	l.log.Error().Str("detail", text).Msg("NATS server gave up")
}
