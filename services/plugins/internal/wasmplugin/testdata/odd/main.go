// Odd is a module that misbehaves as the text says that it is given.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

func main() {
	var call struct {
		Operation string         `json:"op"`
		Text      string         `json:"text"`
		Baseline  map[string]any `json:"baseline"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&call); err != nil {
		panic(err)
	}
	if call.Operation == "describe" {
		fmt.Println(`{"version":"0.1","modalities":["text"],"layers":["token"]}`)
		return
	}
	switch call.Text {
	case "panic":
		panic("boom")
	case "exit":
		fmt.Fprintln(os.Stderr, "no model; none")
		os.Exit(3)
	case "hang":
		for { //nolint:revive // it hangs
		}
	case "flood":
		// It heeds no error.
		for {
			_, _ = os.Stdout.WriteString(strings.Repeat("x", 1<<20))
		}
	case "eat":
		var kept [][]byte
		for {
			kept = append(kept, make([]byte, 1<<20))
			kept[len(kept)-1][0] = byte(len(kept))
		}
	case "nothing":
	case "shape":
		fmt.Println(`{"output":{"emoji_count":1},"confidence":1}`)
	case "nan":
		fmt.Println(`{"output":{"token_count":1,"unique_tokens":1,"top_tokens":[]},"confidence":NaN}`)
	case "look":
		_, err := os.ReadDir("/")
		call.Baseline["files"] = err == nil
		call.Baseline["environment"] = len(os.Environ())
		call.Baseline["arguments"] = len(os.Args)
		body, _ := json.Marshal(map[string]any{"output": call.Baseline, "confidence": 1})
		_, _ = os.Stdout.Write(body)
	}
}
