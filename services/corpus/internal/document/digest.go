package document

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Checksum returns the SHA-256 of data in hex.
func Checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ProvenanceDigest returns the SHA-256, in hex, over the sorted checksums joined
// by newlines. It is empty when there are none.
func ProvenanceDigest(checksums []string) string {
	if len(checksums) == 0 {
		return ""
	}
	return Checksum([]byte(strings.Join(slices.Sorted(slices.Values(checksums)), "\n")))
}
