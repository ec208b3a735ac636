package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/checker"
	"nexus.internal/chaos/internal/history"
	"nexus.internal/chaos/internal/scenario"
)

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"--seed", "7", "--minutes", "2", "--scenario", "kill-nats", "--scenario", "kill-services"}, time.Now(), io.Discard)
	require.NoError(t, err)
	require.Len(t, o.scenarios, 2)
	require.Equal(t, 2*time.Minute-around, o.window())
	require.Contains(t, o.again("kill-nats"), "--seed 7 ")
	require.Contains(t, o.again("kill-nats"), "--scenario kill-nats")

	all, err := parse(nil, time.Now(), io.Discard)
	require.NoError(t, err)
	require.Len(t, all.scenarios, len(scenario.All()))
	short, err := parse([]string{"--short"}, time.Now(), io.Discard)
	require.NoError(t, err)
	require.NotEmpty(t, short.scenarios)
	require.Less(t, len(short.scenarios), len(all.scenarios))
	require.Equal(t, leastLoad, short.window())

	// What is said to play it again plays it as it was.
	again, err := parse(strings.Fields(all.again("kill-nats"))[3:], time.Now(), io.Discard)
	require.NoError(t, err)
	require.Equal(t, all.seed, again.seed)
	require.InDelta(t, all.window().Seconds(), again.window().Seconds(), 1)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"now":             `unexpected argument "now"`,
		"--minutes 0":     "--minutes is 0",
		"--parallel 0":    "--parallel is 0",
		"--rate 0":        "--rate is 0",
		"--scenario nope": `no scenario "nope"`,
		"--seed -1":       "invalid value",
	} {
		_, err := parse(strings.Fields(args), time.Now(), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
	_, err := parse([]string{"--help"}, time.Now(), io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

// The page names every scenario and every rule.
func TestThePageIsComplete(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/chaos.md")
	require.NoError(t, err)
	for _, s := range scenario.All() {
		require.Contains(t, string(page), "| "+s.Name+" |")
	}
	for _, r := range checker.Rules() {
		require.Contains(t, string(page), "| "+string(r)+" |")
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	violations := make([]checker.Violation, 7)
	for i := range violations {
		violations[i] = checker.Violation{Rule: checker.RuleEnds, Subject: "job", Detail: "it is still queued"}
	}
	outcomes := []scenario.Outcome{
		{Scenario: "fine", Took: 12 * time.Second, Report: checker.Report{Tally: checker.Tally{Accepted: 321}}, EndedByItself: map[string]int{"audit": 2}},
		{Scenario: "broken", Report: checker.Report{Violations: violations}, Settled: history.Settled{Unfinished: 7}},
		{Scenario: "stuck", Err: errors.New("nats does not serve")},
	}
	var out bytes.Buffer
	printTable(&out, outcomes)
	require.True(t, explain(&out, options{seed: 9, short: true}, "/dir", outcomes))
	for _, want := range []string{
		"321", "not played", "audit ended by itself 2 time(s)", "7 unfinished", "every job ends: job: it is still queued", "every job ends: and 2 more",
		"nats does not serve", "/dir/broken/history.jsonl", "--seed 9 ",
	} {
		require.Contains(t, out.String(), want)
	}
	require.False(t, explain(io.Discard, options{}, "/dir", outcomes[:1]))
}

func TestCheckAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	file, err := history.Create(path)
	require.NoError(t, err)
	file.Add(history.Record{Submit: &history.Submit{Key: "lost", Answer: history.Answer{Status: 200, JobID: "a"}}})
	require.NoError(t, file.Close())
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"--check", path}, &out, io.Discard), errViolated)
	require.Contains(t, out.String(), "accepted is recorded: lost")
	require.Error(t, run(t.Context(), []string{"--check", "/nowhere"}, &out, io.Discard))
}
