package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/report"
	"nexus.internal/bench/internal/resource"
)

func run() report.Run {
	return report.Run{
		Command: "go run ./bench/load", Started: time.Date(2025, 3, 1, 12, 30, 0, 0, time.UTC), Took: 90*time.Second + time.Millisecond, Rounds: 3,
		Machine:  resource.Machine{Cores: 2, System: "linux/amd64", Go: "go1.26.0", Memory: 24 << 30, FileSystem: "ext4"},
		Postgres: "15.9", NATS: "2.15.2",
	}
}

// row finds the line of a table that begins with a title.
func row(t *testing.T, text, title string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| "+title+" |") {
			return strings.TrimSpace(line)
		}
	}
	require.Fail(t, "no such row", title)
	return ""
}

func sheet(t *testing.T, values map[string]float64) *figure.Sheet {
	t.Helper()
	s := figure.NewSheet()
	for name, v := range values {
		s.Put(name, v)
	}
	require.NoError(t, s.Err())
	return s
}

func TestGoalsNameFiguresThatExist(t *testing.T) {
	t.Parallel()
	s := figure.NewSheet()
	for _, g := range report.Goals() {
		s.Put(g.Ours, 1)
		if g.Rivals != "" {
			s.Put(g.Rivals, 1)
		}
	}
	require.NoError(t, s.Err())
}

func TestRatiosAreHeldAgainstTheGoals(t *testing.T) {
	t.Parallel()
	const submit, log = "submit over REST, one job a request, 256 connections", "Postgres log per job"
	for name, c := range map[string]struct {
		values     map[string]float64
		title, row string
	}{
		"met": {
			map[string]float64{figure.SubmitREST256: 12345, figure.RiverInsert: 4000},
			submit,
			"| " + submit + " | 12,345 | 4,000 | 3.09 × | ≥ 3 × | yes |",
		},
		"just met": {
			map[string]float64{figure.SubmitREST256: 12000, figure.RiverInsert: 4000},
			submit,
			"| " + submit + " | 12,000 | 4,000 | 3.00 × | ≥ 3 × | yes |",
		},
		"missed": {
			map[string]float64{figure.SubmitREST256: 9000, figure.RiverInsert: 4000},
			submit,
			"| " + submit + " | 9,000 | 4,000 | 2.25 × | ≥ 3 × | **no**, by 25 % |",
		},
		"less is better, met": {
			map[string]float64{figure.WAL: 2000, figure.RiverWAL: 5000},
			log,
			"| " + log + " | 2,000 B | 5,000 B | 0.40 × | ≤ 0.5 × | yes |",
		},
		"less is better, just met": {
			map[string]float64{figure.WAL: 2500, figure.RiverWAL: 5000},
			log,
			"| " + log + " | 2,500 B | 5,000 B | 0.50 × | ≤ 0.5 × | yes |",
		},
		"less is better, missed": {
			map[string]float64{figure.WAL: 5000, figure.RiverWAL: 5000},
			log,
			"| " + log + " | 5,000 B | 5,000 B | 1.00 × | ≤ 0.5 × | **no**, by 100 % |",
		},
		"without River": {
			map[string]float64{figure.SubmitREST256: 9000},
			submit,
			"| " + submit + " | 9,000 | – | – | ≥ 3 × | not measured |",
		},
		"without Nexus": {
			map[string]float64{figure.RiverInsert: 4000},
			submit,
			"| " + submit + " | – | – | – | ≥ 3 × | not measured |",
		},
		"an amount, met": {
			map[string]float64{figure.P50(figure.IdleDoneEvent): 2.5},
			"idle: submit → done seen by a reader, p50",
			"| idle: submit → done seen by a reader, p50 | 2.50 ms | – | – | ≤ 2.50 ms | yes |",
		},
		"an amount, missed": {
			map[string]float64{figure.MemoryPeak: 300},
			"memory of the process under load",
			"| memory of the process under load | 300 MiB | – | – | ≤ 150 MiB | **no**, by 100 % |",
		},
		"none lost": {
			map[string]float64{figure.Lost: 0},
			"jobs lost",
			"| jobs lost | 0 | – | – | ≤ 0 | yes |",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.row, row(t, report.Markdown(run(), sheet(t, c.values)), c.title))
		})
	}
}

func TestOneLostJobInOneRoundIsAMiss(t *testing.T) {
	t.Parallel()
	s := sheet(t, map[string]float64{figure.Lost: 0})
	s.Put(figure.Lost, 1)
	s.Put(figure.Lost, 0)
	require.Equal(t, "| jobs lost | 1 | – | – | ≤ 0 | **no** |", row(t, report.Markdown(run(), s), "jobs lost"))
}

func TestFiguresAreShownWithWhatTheyCost(t *testing.T) {
	t.Parallel()
	s := sheet(t, map[string]float64{
		figure.Drain: 20000, figure.CPUPlatform(figure.Drain): 30.4, figure.CPUPostgres(figure.Drain): 14,
		figure.P50(figure.IdleBegun): 0.75, figure.P99(figure.IdleBegun): 2.5,
		figure.OtherProcesses: 0.071, figure.AuditBehind: 1.24, figure.RiverInsert: 4000,
	})
	s.Put(figure.Drain, 1_000_000)
	text := report.Markdown(run(), s)
	require.Equal(t, "| drain of jobs enqueued before, until Postgres has all finished | 510,000 | 20,000 – 1,000,000 | 30 | 14 | – |",
		row(t, text, "drain of jobs enqueued before, until Postgres has all finished"))
	require.Contains(t, text, "| 0.75 ms |  | 2.50 ms |  |")
	require.Contains(t, text, "| 7 % |  |")
	require.Contains(t, text, "| 1.2 s |")
	require.Contains(t, text, "### River\n")
	require.NotContains(t, text, "### Floors", "none was measured")
}

func TestABusyMachineIsNamed(t *testing.T) {
	t.Parallel()
	s := sheet(t, map[string]float64{figure.OtherProcesses: 0.11})
	require.NotContains(t, report.Markdown(run(), s), "Disturbed")
	s.Put(figure.OtherProcesses, 0.5)
	require.Contains(t, report.Markdown(run(), s), "**Disturbed: other processes used 30 % of the machine.")
}

func TestTheHeadSaysWhatWasRunAndWhere(t *testing.T) {
	t.Parallel()
	r := run()
	text := report.Markdown(r, figure.NewSheet())
	require.Contains(t, text, "`go run ./bench/load`, 2025-03-01 12:30 UTC, 3 rounds, 1m30s.")
	require.Contains(t, text, "2 cores, 24 GiB, linux/amd64, data on ext4, go1.26.0, PostgreSQL 15.9, nats-server 2.15.2.")
	require.NotContains(t, text, "Preliminary")

	r.Preliminary, r.Rounds, r.River = true, 1, "v0.51.1"
	text = report.Markdown(r, figure.NewSheet())
	require.Contains(t, text, "Preliminary")
	require.Contains(t, text, "1 round,")
	require.Contains(t, text, "River v0.51.1.")
}

const place = "# Results\n\n<!-- figures: begin; written by bench/load -->\nold\n<!-- figures: end -->\n\nHow to read them.\n"

func TestReplaceLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	got, err := report.Replace(place, "new\n\n")
	require.NoError(t, err)
	require.Equal(t, "# Results\n\n<!-- figures: begin; written by bench/load -->\n\nnew\n\n<!-- figures: end -->\n\nHow to read them.\n", got)
	again, err := report.Replace(got, "new")
	require.NoError(t, err)
	require.Equal(t, got, again)
}

func TestReplaceKeepsTheNameOfTheWriter(t *testing.T) {
	t.Parallel()
	const lists = "<!-- figures: begin; written by bench/lists -->\n"
	got, err := report.Replace(lists+"old\n<!-- figures: end -->\n", "new")
	require.NoError(t, err)
	require.Equal(t, lists+"\nnew\n\n<!-- figures: end -->\n", got)
}

func TestReplaceNeedsAPlace(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":         "",
		"no end":          "<!-- figures: begin; written by bench/load -->\n",
		"no begin":        "<!-- figures: end -->\n",
		"no writer":       "<!-- figures: begin -->\n<!-- figures: end -->\n",
		"the wrong order": "<!-- figures: end -->\n<!-- figures: begin; written by bench/load -->\n",
	} {
		_, err := report.Replace(text, "new")
		require.ErrorIs(t, err, report.ErrNoPlace, name)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	require.Error(t, report.Write(path, "new"), "it is not there")
	require.NoError(t, os.WriteFile(path, []byte("no place"), 0o600))
	require.ErrorIs(t, report.Write(path, "new"), report.ErrNoPlace)
	require.NoError(t, os.WriteFile(path, []byte(place), 0o600))
	require.NoError(t, report.Write(path, "new"))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), "\nnew\n")
	require.NotContains(t, string(text), "old")
}
