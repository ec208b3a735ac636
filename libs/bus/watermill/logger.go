package wmjs

import (
	"github.com/ThreeDotsLabs/watermill"
	"github.com/rs/zerolog"
)

// Logger lets Watermill log through zerolog. What Watermill calls info, the
// coming and going of handlers, is debug here.
type Logger struct{ log zerolog.Logger }

var _ watermill.LoggerAdapter = Logger{}

// NewLogger makes a logger for a Watermill router.
func NewLogger(log zerolog.Logger) Logger { return Logger{log} }

// Error implements watermill.LoggerAdapter.
func (l Logger) Error(msg string, err error, fields watermill.LogFields) {
	l.log.Error().Err(err).Fields(map[string]any(fields)).Msg(msg)
}

// Info implements watermill.LoggerAdapter.
func (l Logger) Info(msg string, fields watermill.LogFields) {
	l.log.Debug().Fields(map[string]any(fields)).Msg(msg)
}

// Debug implements watermill.LoggerAdapter.
func (l Logger) Debug(msg string, fields watermill.LogFields) {
	l.log.Debug().Fields(map[string]any(fields)).Msg(msg)
}

// Trace implements watermill.LoggerAdapter.
func (l Logger) Trace(msg string, fields watermill.LogFields) {
	l.log.Trace().Fields(map[string]any(fields)).Msg(msg)
}

// With implements watermill.LoggerAdapter.
func (l Logger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return Logger{l.log.With().Fields(map[string]any(fields)).Logger()}
}
