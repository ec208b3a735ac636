// Package payload makes the payloads of the no-op jobs: the same for every
// system that is measured.
package payload

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Size is the length of an encoded payload, in bytes.
const Size = 512

// Args is one payload. Its padding differs from job to job, so that nothing
// gains by compressing.
type Args struct {
	Seq  int    `json:"seq"`
	Name string `json:"name"`
	Pad  string `json:"pad"`
}

// Pool makes n payloads that encode to Size bytes each, always the same ones.
func Pool(n int) []Args {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]Args, n)
	for i := range out {
		out[i] = Args{Seq: i, Name: "noop"}
		bare := len(fmt.Sprintf(`{"seq":%d,"name":"noop","pad":""}`, i))
		out[i].Pad = letters(random, Size-bare)
	}
	return out
}

func letters(random *rand.Rand, n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	for range n {
		b.WriteByte(alphabet[random.IntN(len(alphabet))])
	}
	return b.String()
}

// Encode encodes payloads once, outside what is timed.
func Encode(pool []Args) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(pool))
	for i, args := range pool {
		encoded, err := json.Marshal(args)
		if err != nil {
			return nil, fmt.Errorf("encode payload %d: %w", i, err)
		}
		out[i] = encoded
	}
	return out, nil
}
