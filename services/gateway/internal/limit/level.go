package limit

import (
	"math"
	"time"
)

// whole forgives what floating point loses: a token waited for is a token.
const whole = 1 - 1e-6

// level is how full a bucket is. It holds perMinute tokens, and as many flow
// into it in a minute, evenly: whatever it held, a minute later it is full.
type level struct {
	perMinute int
	tokens    float64
	at        time.Time
}

// flow brings the level to now. A clock that goes back adds nothing.
func (v *level) flow(now time.Time) {
	if passed := now.Sub(v.at); passed > 0 {
		v.tokens = min(float64(v.perMinute), v.tokens+passed.Minutes()*float64(v.perMinute))
		v.at = now
	}
}

// resize changes the limit: a bucket that was half full still is.
func (v *level) resize(perMinute int) {
	v.tokens *= float64(perMinute) / float64(v.perMinute)
	v.perMinute = perMinute
}

// take removes up to want tokens and returns how many there were.
func (v *level) take(want int) int {
	got := min(want, v.left())
	v.tokens = max(0, v.tokens-float64(got))
	return got
}

func (v *level) put(n int) { v.tokens = min(float64(v.perMinute), v.tokens+float64(n)) }

func (v *level) left() int { return int(v.tokens + 1 - whole) }

// wait is how long until there is a token, zero when there is one.
func (v *level) wait() time.Duration { return v.until(1) }

// reset is how long until the bucket is full.
func (v *level) reset() time.Duration { return v.until(float64(v.perMinute)) }

func (v *level) until(tokens float64) time.Duration {
	return time.Duration(math.Ceil(max(0, tokens-v.tokens) / float64(v.perMinute) * float64(time.Minute)))
}
