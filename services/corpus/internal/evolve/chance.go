package evolve

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// Chance is a sequence of choices that follows from a seed and a name. It is the
// PCG of math/rand/v2, whose output is fixed, begun with a hash of both, so that
// two events with one seed do not choose alike.
type Chance struct{ source *rand.PCG }

// NewChance begins a sequence.
func NewChance(seed int64, name string) *Chance {
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(seed)) //nolint:gosec // every seed is a good one
	sum := sha256.Sum256(append(number[:], name...))
	return &Chance{rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16]))}
}

// Float is the next number in [0, 1).
func (c *Chance) Float() float64 { return float64(c.source.Uint64()>>11) / (1 << 53) }

// Below is the next whole number in [0, n).
func (c *Chance) Below(n int) int { return int(c.Float() * float64(n)) }

// Shuffle brings n things into another order (Fisher and Yates).
func (c *Chance) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, c.Below(i+1))
	}
}
