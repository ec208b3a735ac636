package contract

import (
	"bytes"
	"encoding/json"
)

// Encode writes v as JSON the way messages carry it: compact, and without the
// escapes for HTML that json.Marshal adds. Those turn one byte into six, and a
// message that fitted into one that does not.
func Encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
