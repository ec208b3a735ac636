package contract_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		`null`:             nil,
		`{"a":"<b>&</b>"}`: map[string]string{"a": "<b>&</b>"},
		`{"result":{"a":"<>&"}}`: struct {
			Result json.RawMessage `json:"result"`
		}{json.RawMessage("{ \"a\" :\n\"<>&\" }")},
		`"line\nfeed"`: "line\nfeed",
		`"\u2028"`:     "\u2028",
		`["東京"]`:       []string{"東京"},
	} {
		got, err := contract.Encode(v)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	for _, v := range []any{math.NaN(), make(chan int), json.RawMessage("{"), json.RawMessage("1 2")} {
		_, err := contract.Encode(v)
		require.Error(t, err, "%v", v)
	}
}

func TestDecodeReadsWhatTheStandardDecoderReads(t *testing.T) {
	t.Parallel()
	type inner struct {
		Raw  json.RawMessage `json:"raw"`
		Wait time.Duration   `json:"wait"`
	}
	type outer struct {
		Name  string           `json:"name"`
		When  time.Time        `json:"when"`
		Maybe *int             `json:"maybe"`
		Inner []inner          `json:"inner"`
		Map   map[string]inner `json:"map"`
	}
	for _, text := range []string{
		`{}`, `null`, `{"name":"a","name":"b"}`, `{"name":null,"maybe":null,"inner":null}`, `{"unknown":{"deep":[1]},"name":"x"}`,
		`{"when":"2026-01-02T03:04:05.6Z","maybe":3,"inner":[{"raw": {"a" : 1},"wait":5}],"map":{"k":{"raw":null,"wait":0}}}`,
		"{\"name\":\"\xff\"}", `{"name":"\u0000\ud800"}`, ` { "name" : "é" } `,
	} {
		var want, got outer
		require.NoError(t, json.Unmarshal([]byte(text), &want), text)
		require.NoError(t, contract.Decode([]byte(text), &got), text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{``, `{`, `{} {}`, `[]`, `{"name":1}`, `{"maybe":1.5}`, `{"when":"yesterday"}`, `{"inner":{}}`} {
		var got outer
		require.Error(t, json.Unmarshal([]byte(text), &outer{}), text)
		require.Error(t, contract.Decode([]byte(text), &got), text)
	}
}
