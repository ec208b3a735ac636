package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/modality"
	"nexus.internal/services/corpus/internal/source"
)

// Request is a valid request to ingest files.
type Request struct {
	// Paths are the files and folders to ingest; none means the whole root.
	Paths     []string
	Filter    modality.Filter
	Selection atom.Selection
	// Force ingests documents again although they have not changed.
	Force bool
	// Notes are warnings about the request.
	Notes []string
}

// Scope says how much of the corpus the request is about.
func (r Request) Scope() contract.IngestScope {
	if len(r.Paths) == 0 {
		return contract.ScopeFull
	}
	return contract.ScopePartial
}

// payload is contract.IngestBatchPayload with the options as they came, so that
// unknown ones can be named.
type payload struct {
	SourcePaths  []string                   `json:"source_paths"`
	Modalities   []string                   `json:"modalities"`
	AtomTracks   []string                   `json:"atom_tracks"`
	AtomLevels   []string                   `json:"atom_levels"`
	ParseOptions map[string]json.RawMessage `json:"parse_options"`
}

// ParseRequest reads the payload of an ingest_batch job. Every error is a
// sentence about the payload. Unknown fields are refused, because a misspelt
// source_paths would otherwise mean the whole corpus; unknown options are noted
// and ignored. A payload may name up to maxPaths paths.
func ParseRequest(data json.RawMessage, maxPaths int) (Request, error) {
	var p payload
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return Request{}, badPayload(err)
	}
	if err := checkNames(data); err != nil {
		return Request{}, err
	}
	if err := checkPaths(p.SourcePaths, maxPaths); err != nil {
		return Request{}, err
	}
	request := Request{Paths: p.SourcePaths}
	var err error
	if request.Filter, err = modality.ParseFilter(p.Modalities); err != nil {
		return Request{}, err
	}
	tracks, err := p.tracks()
	if err != nil {
		return Request{}, err
	}
	if request.Selection, err = atom.Select(tracks); err != nil {
		return Request{}, err
	}
	if err := request.applyOptions(p.ParseOptions); err != nil {
		return Request{}, err
	}
	return request, nil
}

// checkNames refuses names in another spelling, which the decoder takes for ours.
func checkNames(data json.RawMessage) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return badPayload(err)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "source_paths", "modalities", "atom_tracks", "atom_levels", "parse_options":
		default:
			return badPayload(fmt.Errorf("unknown field %q", name))
		}
	}
	return nil
}

// tracks gathers the tracks from all the places they may be named in.
func (p payload) tracks() ([]string, error) {
	tracks := slices.Concat(p.AtomTracks, p.AtomLevels)
	for _, name := range trackOptions() {
		value, given := p.ParseOptions[name]
		if !given {
			continue
		}
		var more []string
		if err := json.Unmarshal(value, &more); err != nil {
			return nil, fmt.Errorf("parse option %q must be a list of names", name)
		}
		tracks = append(tracks, more...)
	}
	return tracks, nil
}

// trackOptions are the options that name tracks.
func trackOptions() []string { return []string{"atom_tracks", "atom_levels"} }

func badPayload(err error) error {
	var typeErr *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the payload is empty: want a JSON object")
	case errors.As(err, &typeErr) && typeErr.Field != "":
		return fmt.Errorf("payload field %q cannot be a JSON %s", typeErr.Field, typeErr.Value)
	case errors.As(err, &typeErr):
		return fmt.Errorf("the payload is a JSON %s: want a JSON object", typeErr.Value)
	default:
		return fmt.Errorf("the payload is not what ingest_batch takes: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

func checkPaths(paths []string, limit int) error {
	if len(paths) > limit {
		return fmt.Errorf("the payload names %d source paths; the limit is %d", len(paths), limit)
	}
	for i, path := range paths {
		switch {
		case path == "":
			return fmt.Errorf("source_paths[%d] is empty: leave source_paths out to ingest the whole corpus root", i)
		case strings.ContainsRune(path, 0):
			return fmt.Errorf("source_paths[%d] contains a NUL character", i)
		case len(path) > source.MaxPath:
			return fmt.Errorf("source_paths[%d] has %d bytes; the limit is %d", i, len(path), source.MaxPath)
		}
	}
	return nil
}

func (r *Request) applyOptions(options map[string]json.RawMessage) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		switch name {
		case "force":
			force, err := boolOption(name, options[name], false)
			if err != nil {
				return err
			}
			r.Force = force
		case "atomize":
			atomize, err := boolOption(name, options[name], true)
			if err != nil {
				return err
			}
			if !atomize {
				r.Selection = atom.Nothing()
			}
		case "atom_tracks", "atom_levels":
		default:
			r.Notes = append(r.Notes, fmt.Sprintf("parse option %q is not known and was ignored", name))
		}
	}
	return nil
}

func boolOption(name string, value json.RawMessage, byDefault bool) (bool, error) {
	option := byDefault // null leaves it so
	if err := json.Unmarshal(value, &option); err != nil {
		return false, fmt.Errorf("parse option %q must be true or false", name)
	}
	return option, nil
}
