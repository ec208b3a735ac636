package contract

import (
	"crypto/sha256"
	"encoding/hex"
)

// ShadowJobID is the id of the job that does the work of an analyze job once
// more beside it. It follows from the id of that job, so the two are linked
// before either has run, and a submit that is repeated names the same pair.
func ShadowJobID(jobID string) string {
	sum := sha256.Sum256([]byte("nexus.shadow_of." + jobID))
	id := sum[:16]
	// A UUID of version 8, which leaves the other bits to its maker (RFC 9562).
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
