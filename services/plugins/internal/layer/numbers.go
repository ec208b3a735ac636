package layer

import "math"

// round4 rounds to four decimals, halves away from zero.
func round4(x float64) float64 { return math.Round(x*1e4) / 1e4 }

// ratio is part over whole, rounded, and 0 when there is no whole.
func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return round4(float64(part) / float64(whole))
}
