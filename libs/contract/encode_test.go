package contract_test

import (
	"encoding/json"
	"math"
	"testing"

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
