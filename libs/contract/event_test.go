package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

func event(n int) contract.Event {
	return contract.Event{
		ID: contract.JobEventID("job-1", n), Type: contract.EventType(contract.AreaJob, string(contract.StatusQueued)),
		Time: time.Date(2024, 2, 29, 12, 0, n, 5000, time.UTC), Source: "jobs", Actor: "alice", Data: json.RawMessage(`{"n":1}`),
	}
}

func events(n int) []contract.Event {
	out := make([]contract.Event, n)
	for i := range out {
		out[i] = event(i)
	}
	return out
}

func TestEventNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "nexus.job.succeeded.v1", contract.EventType(contract.AreaJob, string(contract.StatusSucceeded)))
	require.Equal(t, "nexus.job.stale_lease_recovery.v1", contract.EventType(contract.AreaJob, contract.WhatStaleLease))
	require.Equal(t, "nexus.auth.denied.v1", contract.EventType(contract.AreaAuth, contract.WhatAuthDenied))
	require.Equal(t, "0190-a/12", contract.JobEventID("0190-a", 12))
}

func TestPacksComeBackWhole(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, contract.MaxEventsPerMessage} {
		data, err := contract.EncodeEvents(events(n))
		require.NoError(t, err)
		back, err := contract.DecodeEvents(data)
		require.NoError(t, err)
		require.Equal(t, events(n), back)
	}
}

func TestPacksOfNoneOrTooManyAreNotWritten(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, contract.MaxEventsPerMessage + 1} {
		_, err := contract.EncodeEvents(events(n))
		require.EqualError(t, err, fmt.Sprintf("a pack holds 1 to 64 events, not %d", n))
	}
}

func TestWhatIsNoPackIsRefused(t *testing.T) {
	t.Parallel()
	whole, err := json.Marshal(event(1))
	require.NoError(t, err)
	tooMany, err := json.Marshal(events(contract.MaxEventsPerMessage + 1))
	require.NoError(t, err)
	lacking := func(field string) string {
		var fields map[string]any
		require.NoError(t, json.Unmarshal(whole, &fields))
		delete(fields, field)
		data, err := json.Marshal([]any{json.RawMessage(whole), fields})
		require.NoError(t, err)
		return string(data)
	}
	for name, body := range map[string]string{
		"nothing":           "",
		"no JSON":           "job done",
		"null":              "null",
		"no events":         "[]",
		"one not in a pack": string(whole),
		"too many":          string(tooMany),
		// What JetStream answers to a publisher, and how it refuses.
		"receipt":           `{"stream":"NEXUS_EVENTS","seq":17}`,
		"repeated receipt":  `{"stream":"NEXUS_EVENTS","seq":17,"duplicate":true}`,
		"refused":           `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"NEXUS_EVENTS","seq":0}`,
		"pack of receipts":  `[{"stream":"NEXUS_EVENTS","seq":17}]`,
		"pack of nulls":     "[null]",
		"pack of packs":     `[[]]`,
		"pack of numbers":   "[1,2]",
		"cut off":           "[" + string(whole),
		"followed by more":  "[" + string(whole) + "] []",
		"no id":             lacking("id"),
		"no type":           lacking("type"),
		"no time":           lacking("time"),
		"no source":         lacking("source"),
		"id is a number":    strings.Replace("["+string(whole)+"]", `"job-1/1"`, "1", 1),
		"time is no time":   strings.Replace("["+string(whole)+"]", "2024-02-29", "2023-02-29", 1),
		"deeper than Go":    strings.Repeat("[", 20_000),
		"deeper inside one": strings.Replace("["+string(whole)+"]", `{"n":1}`, strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001), 1),
	} {
		got, err := contract.DecodeEvents([]byte(body))
		require.Error(t, err, name)
		require.Nil(t, got, name)
	}
}

func TestFieldsOfLaterVersionsAreSkipped(t *testing.T) {
	t.Parallel()
	data, err := contract.EncodeEvents(events(1))
	require.NoError(t, err)
	later := bytes.Replace(data, []byte(`"id":`), []byte(`"tenant":"t1","id":`), 1)
	got, err := contract.DecodeEvents(later)
	require.NoError(t, err)
	require.Equal(t, events(1), got)
}

func FuzzDecodeEvents(f *testing.F) {
	for _, n := range []int{1, 3} {
		data, err := contract.EncodeEvents(events(n))
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"stream":"NEXUS_EVENTS","seq":17}`))
	f.Add([]byte(`[{"id":"a","type":"b","time":"2024-02-29T12:00:00+23:59","source":"c","data":"\ud800"}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := contract.DecodeEvents(data)
		if err != nil {
			require.Nil(t, got)
			return
		}
		require.NotEmpty(t, got)
		require.LessOrEqual(t, len(got), contract.MaxEventsPerMessage)
		for _, e := range got {
			require.NotEmpty(t, e.ID)
			require.False(t, e.Time.IsZero())
		}
		again, err := contract.EncodeEvents(got)
		require.NoError(t, err, "what was read can be passed on")
		back, err := contract.DecodeEvents(again)
		require.NoError(t, err)
		require.True(t, slices.EqualFunc(got, back, func(a, b contract.Event) bool { return a.ID == b.ID && a.Time.Equal(b.Time) }))
	})
}

// What is written by hand must be what the encoder would write.
func TestEventsAreEncodedLikeEverythingElse(t *testing.T) {
	t.Parallel()
	texts := []string{"", "plain", "a \"quoted\" \\ word", "\x00\x1f\n\t", "<&>", "ümläut 漢字", "bad \xff utf8", "\u2028"}
	next := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for i, text := range texts {
		for _, at := range []*time.Time{nil, &next} {
			c := contract.JobChange{
				JobID: text, JobType: "noop", Status: contract.StatusQueued, Attempt: i, MaxAttempts: 3, Version: -1, CreatedBy: text,
				Worker: text, ErrorText: texts[(i+1)%len(texts)], NextRunAt: at, Webhook: at != nil,
			}
			want, err := contract.Encode(c)
			require.NoError(t, err)
			require.Equal(t, string(want), string(c.Encode()))
		}
		events := []contract.Event{
			{ID: text, Type: text, Time: next, Source: text, Actor: text, RequestID: text, TraceParent: text, Data: json.RawMessage(`{"a":"<b>"}`)},
			{ID: "1", Type: "t", Time: next.In(time.FixedZone("", 3600)), Source: "s"},
		}
		want, err := contract.Encode(events)
		require.NoError(t, err)
		got, err := contract.EncodeEvents(events)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
}
