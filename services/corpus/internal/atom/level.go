package atom

import (
	"fmt"
	"slices"
	"strings"
)

// Level is the size of the pieces a text is split into.
type Level string

// The levels, from the smallest to the largest.
const (
	GlyphSeed Level = "glyph-seed"
	Syllable  Level = "syllable"
	Word      Level = "word"
	Sentence  Level = "sentence"
	Paragraph Level = "paragraph"
)

// Levels returns all levels in order, from the smallest to the largest.
func Levels() []Level {
	return []Level{GlyphSeed, Syllable, Word, Sentence, Paragraph}
}

// Track is a named selection of levels.
type Track string

// The tracks.
const (
	Full        Track = "full"
	Literary    Track = "literary"
	GlyphicSeed Track = "glyphic_seed"
)

// levelsOf returns the levels of a track, and false for an unknown one.
func levelsOf(track Track) ([]Level, bool) {
	switch track {
	case Full:
		return Levels(), true
	case Literary:
		return []Level{Word, Sentence, Paragraph}, true
	case GlyphicSeed:
		return []Level{GlyphSeed, Syllable}, true
	default:
		return nil, false
	}
}

// Selection is what a request asked to split a text into: its tracks, each
// once and in the order given, and the levels they add up to, smallest first.
type Selection struct {
	Tracks []Track
	Levels []Level
}

// Select reads the tracks of a request. No names mean the full track. An
// unknown name is an error that lists the known ones.
func Select(names []string) (Selection, error) {
	if len(names) == 0 {
		names = []string{string(Full)}
	}
	var selection Selection
	wanted := map[Level]bool{}
	for _, name := range names {
		track := Track(name)
		levels, known := levelsOf(track)
		if !known {
			return Selection{}, fmt.Errorf("unknown atom track %q: known tracks are %s", name,
				strings.Join([]string{string(Full), string(Literary), string(GlyphicSeed)}, ", "))
		}
		if !slices.Contains(selection.Tracks, track) {
			selection.Tracks = append(selection.Tracks, track)
		}
		for _, level := range levels {
			wanted[level] = true
		}
	}
	selection.Levels = slices.DeleteFunc(Levels(), func(l Level) bool { return !wanted[l] })
	return selection, nil
}

// Nothing is the selection that splits a text into no atoms at all.
func Nothing() Selection {
	return Selection{Tracks: []Track{}, Levels: []Level{}}
}
