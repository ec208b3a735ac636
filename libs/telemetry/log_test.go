package telemetry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/telemetry"
)

func TestLogLevels(t *testing.T) {
	t.Parallel()
	levels := []string{"trace", "debug", "info", "warn", "error"}
	for i, level := range levels {
		var out bytes.Buffer
		log, err := logger(&out, level)
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
		log, err := logger(&out, level)
		require.ErrorContains(t, err, "want trace, debug, info, warn or error", "%q", level)
		log.Error().Msg("lost")
		require.Empty(t, out.String(), "%q", level)
	}
}

func logger(w io.Writer, level string) (zerolog.Logger, error) {
	logs, err := telemetry.NewLogs(w, level, telemetry.FormatJSON)
	if err != nil {
		return zerolog.Nop(), err
	}
	return logs.Logger("jobs"), nil
}

// A level that is changed counts for loggers that are in use, and for those that
// were derived from them.
func TestLevelsChangeUnderLoggersInUse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logs, err := telemetry.NewLogs(&out, "info", telemetry.FormatJSON)
	require.NoError(t, err)
	jobs, auth := logs.Logger("jobs"), logs.Logger("auth")
	worker := jobs.With().Str(telemetry.FieldWorker, "w").Logger()
	said := func() (got []string) {
		out.Reset()
		for name, log := range map[string]zerolog.Logger{"jobs": jobs, "auth": auth, "worker": worker, "later": logs.Logger("later")} {
			log.Debug().Msg(name)
		}
		for line := range bytes.Lines(out.Bytes()) {
			var entry struct{ Message string }
			require.NoError(t, json.Unmarshal(line, &entry))
			got = append(got, entry.Message)
		}
		return got
	}
	require.Empty(t, said())
	require.NoError(t, logs.Set("jobs", "debug"))
	require.ElementsMatch(t, []string{"jobs", "worker"}, said())
	require.Equal(t, "debug", logs.Level("jobs"))
	require.Equal(t, "info", logs.Level("auth"))
	require.NoError(t, logs.Set("", "trace"))
	require.ElementsMatch(t, []string{"jobs", "worker", "auth", "later"}, said())
	require.Equal(t, "trace", logs.Level("unheard of"))
	require.NoError(t, logs.Set("", "error"))
	require.Empty(t, said())
	require.ErrorContains(t, logs.Set("jobs", "loud"), "want trace, debug, info, warn or error")
	require.Equal(t, "error", logs.Level("jobs"))
}

func TestLogFormats(t *testing.T) {
	t.Parallel()
	write := func(format telemetry.Format) string {
		var out bytes.Buffer
		logs, err := telemetry.NewLogs(&out, "info", format)
		require.NoError(t, err)
		log := logs.Logger("jobs")
		telemetry.OfJob(log.Info(), "j-1", "analyze", "r-1", "").Str("hostile", "a\x1b[2Jb\nc").Msg("job started")
		return out.String()
	}
	for _, format := range []telemetry.Format{telemetry.FormatJSON, telemetry.FormatAuto} {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(write(format)), &entry), "what is no terminal gets JSON")
		require.Equal(t, "j-1", entry["job_id"])
		require.NotContains(t, entry, "trace_id", "what is not known is left out")
	}
	text := write(telemetry.FormatText)
	require.Regexp(t, `^\d\d:\d\d:\d\d INF jobs job started hostile="a\\x1b\[2Jb\\nc" job_id=j-1 job_type=analyze request_id=r-1\n$`, text)
	_, err := telemetry.NewLogs(io.Discard, "info", "xml")
	require.ErrorContains(t, err, "want auto, json or text")
}

func TestTraceIDOf(t *testing.T) {
	t.Parallel()
	const id = "0af7651916cd43dd8448eb211c80319c"
	require.Equal(t, id, telemetry.TraceIDOf("00-"+id+"-b7ad6b7169203331-01"))
	for _, bad := range []string{"", "00-", id, "00-" + id, "00-zz" + id[2:] + "-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"} {
		require.Empty(t, telemetry.TraceIDOf(bad), bad)
	}
}

// What a line costs says which of them every job may have.
func BenchmarkEntryOfAJob(b *testing.B) {
	for _, level := range []string{"info", "debug"} {
		b.Run(level, func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "log"))
			require.NoError(b, err)
			log, err := logger(file, level)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				telemetry.OfJob(log.Debug(), "019a4c1e-7b1a-7c3e-9f42-6d1f0a2b3c4d", "ingest_batch", "5b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
					"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").Str(telemetry.FieldWorker, "host-1-5b1f2c3d").Int("attempt", 1).Msg("job started")
			}
			require.NoError(b, file.Close())
		})
	}
}
