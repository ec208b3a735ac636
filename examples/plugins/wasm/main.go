// Shout is a plugin of Nexus as a WebAssembly module: it counts the words that are
// written in capitals, and adds them to the pragmatics layer. Build it for WASI
// with Go itself:
//
//	GOOS=wasip1 GOARCH=wasm go build -o shout.wasm .
//
// A module is run once for each call: it reads the call from its standard input,
// writes the answer to its standard output and ends.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"unicode"
)

type call struct {
	Operation string         `json:"op"`
	Text      string         `json:"text"`
	Baseline  map[string]any `json:"baseline"`
}

func main() {
	if err := answer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer() error {
	var c call
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		return fmt.Errorf("read the call: %w", err)
	}
	switch c.Operation {
	case "describe":
		return say(map[string]any{"version": "1.0.0", "modalities": []string{"text", "pdf"}, "layers": []string{"pragmatics"}})
	case "run":
		c.Baseline["shouted_words"] = shouted(c.Text)
		return say(map[string]any{"output": c.Baseline, "confidence": 0.75})
	default:
		return fmt.Errorf("there is no operation %q", c.Operation)
	}
}

func say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// shouted counts the words of two letters or more that have no small letter.
func shouted(text string) int {
	n := 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if len(word) > 1 && strings.ToUpper(word) == word && strings.ToLower(word) != word {
			n++
		}
	}
	return n
}
