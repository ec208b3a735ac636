package telemetry_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/telemetry"
)

func TestLogLevels(t *testing.T) {
	t.Parallel()
	levels := []string{"trace", "debug", "info", "warn", "error"}
	for i, level := range levels {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, level, "jobs")
		require.NoError(t, err)
		log.Trace().Msg("trace")
		log.Debug().Msg("debug")
		log.Info().Msg("info")
		log.Warn().Msg("warn")
		log.Error().Msg("error")
		var got []string
		for line := range bytes.Lines(out.Bytes()) {
			var entry struct{ Level, Message, Service, Time string }
			require.NoError(t, json.Unmarshal(line, &entry))
			require.Equal(t, entry.Level, entry.Message)
			require.Equal(t, "jobs", entry.Service)
			_, err := time.Parse(time.RFC3339, entry.Time)
			require.NoError(t, err)
			got = append(got, entry.Message)
		}
		require.Equal(t, levels[i:], got, "level %s", level)
	}
}

func TestUnknownLogLevelsAreRefused(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"", "verbose", "warning", " info", "info\n"} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, level, "jobs")
		require.ErrorContains(t, err, "want trace, debug, info, warn or error", "%q", level)
		log.Error().Msg("lost")
		require.Empty(t, out.String(), "%q", level)
	}
}
