package ingest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/ingest"
)

func TestParseRequest(t *testing.T) {
	t.Parallel()
	r, err := ingest.ParseRequest(json.RawMessage(`{
		"source_paths": ["a.md", "b"], "modalities": ["text"], "atom_tracks": ["literary"],
		"parse_options": {"force": true, "atomize": true, "ingest_profile": "x", "zeta": 1}}`), 10)
	require.NoError(t, err)
	require.Equal(t, []string{"a.md", "b"}, r.Paths)
	require.Equal(t, contract.ScopePartial, r.Scope())
	require.True(t, r.Filter.Wants(contract.ModalityText))
	require.False(t, r.Filter.Wants(contract.ModalityPDF))
	require.Equal(t, []atom.Track{atom.Literary}, r.Selection.Tracks)
	require.True(t, r.Force)
	require.Equal(t, []string{
		`parse option "ingest_profile" is not known and was ignored`, `parse option "zeta" is not known and was ignored`,
	}, r.Notes)
}

func TestTracksMayStandInSeveralPlaces(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		`{"atom_tracks":["literary"]}`, `{"atom_levels":["literary"]}`,
		`{"parse_options":{"atom_tracks":["literary"]}}`, `{"parse_options":{"atom_levels":["literary"]}}`,
		`{"atom_tracks":["literary"],"parse_options":{"atom_tracks":["literary"],"atom_levels":null}}`,
	} {
		r, err := ingest.ParseRequest(json.RawMessage(payload), 10)
		require.NoError(t, err, payload)
		require.Equal(t, []atom.Track{atom.Literary}, r.Selection.Tracks, payload)
		require.Empty(t, r.Notes, payload)
	}
}

func TestParseRequestDefaults(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		`{}`, `null`, `{"source_paths":[],"modalities":[],"parse_options":{}}`,
		`{"source_paths":null,"modalities":null,"parse_options":null,"atom_tracks":null}`,
		`{"parse_options":{"force":null,"atomize":null}}`,
	} {
		r, err := ingest.ParseRequest(json.RawMessage(payload), 10)
		require.NoError(t, err, payload)
		require.Empty(t, r.Paths)
		require.Equal(t, contract.ScopeFull, r.Scope())
		require.True(t, r.Filter.Wants(contract.ModalityBinary))
		require.Equal(t, []atom.Track{atom.Full}, r.Selection.Tracks)
		require.False(t, r.Force)
		require.Empty(t, r.Notes)
	}
}

func TestParseRequestWithoutAtoms(t *testing.T) {
	t.Parallel()
	r, err := ingest.ParseRequest(json.RawMessage(`{"parse_options":{"atomize":false}}`), 10)
	require.NoError(t, err)
	require.Empty(t, r.Selection.Levels)
	require.Empty(t, r.Selection.Tracks)
}

func TestContractPayloadIsARequest(t *testing.T) {
	t.Parallel()
	no := false
	data, err := json.Marshal(contract.IngestBatchPayload{
		SourcePaths: []string{"a.md"}, Modalities: []string{"pdf"}, AtomTracks: []string{"glyphic_seed"},
		ParseOptions: contract.IngestParseOptions{Force: true, Atomize: &no},
	})
	require.NoError(t, err)
	r, err := ingest.ParseRequest(data, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"a.md"}, r.Paths)
	require.True(t, r.Force)
	require.Empty(t, r.Selection.Levels)
	require.Empty(t, r.Notes)

	data, err = json.Marshal(contract.IngestBatchPayload{})
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(data))
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	paths, err := json.Marshal(map[string]any{"source_paths": strings.Split(strings.Repeat("x ", 10)+"x", " ")})
	require.NoError(t, err)
	for payload, want := range map[string]string{
		``:                                  "the payload is empty",
		`{"source_paths":[`:                 "the payload is not what ingest_batch takes: unexpected EOF",
		`[]`:                                "the payload is a JSON array: want a JSON object",
		`"text"`:                            "the payload is a JSON string: want a JSON object",
		`{"source_path":["a"]}`:             `unknown field "source_path"`,
		`{"Source_Paths":["a"]}`:            `unknown field "Source_Paths"`,
		`{"source_paths":"a.md"}`:           `payload field "source_paths" cannot be a JSON string`,
		`{"source_paths":[1]}`:              `payload field "source_paths" cannot be a JSON number`,
		`{"parse_options":[]}`:              `payload field "parse_options" cannot be a JSON array`,
		`{"parse_options":{"force":"yes"}}`: `parse option "force" must be true or false`,
		`{"parse_options":{"atomize":1}}`:   `parse option "atomize" must be true or false`,
		`{"modalities":["video"]}`:          `unknown modality "video": known modalities are`,
		`{"atom_tracks":["epic"]}`:          `unknown atom track "epic": known tracks are full, literary, glyphic_seed`,
		`{"atom_levels":["epic"]}`:          `unknown atom track "epic"`,
		`{"parse_options":{"atom_tracks":["epic"]}}`:                        `unknown atom track "epic"`,
		`{"atom_tracks":["full"],"parse_options":{"atom_levels":["epic"]}}`: `unknown atom track "epic"`,
		`{"parse_options":{"atom_tracks":"full"}}`:                          `parse option "atom_tracks" must be a list of names`,
		`{"source_paths":["a",""]}`:                                         "source_paths[1] is empty",
		`{"source_paths":["a\u0000b"]}`:                                     "source_paths[0] contains a NUL character",
		string(paths):                                                       "names 11 source paths; the limit is 10",
		fmt.Sprintf(`{"source_paths":["%s"]}`, strings.Repeat("x", 4097)):   "source_paths[0] has 4097 bytes; the limit is 4096",
	} {
		_, err := ingest.ParseRequest(json.RawMessage(payload), 10)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "Go ")
		require.NotContains(t, err.Error(), "ingest.payload")
	}
}
