package eventstream

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"nexus.internal/libs/contract"
)

// lastIndex is the last place a pack can have.
const lastIndex = contract.MaxEventsPerMessage - 1

// Position is the place of an event: the sequence of its message in the stream
// and its index inside the message. The zero Position is before everything.
type Position struct {
	Sequence uint64
	Index    int
}

// endOf is the place behind a whole message.
func endOf(sequence uint64) Position { return Position{sequence, lastIndex} }

// String writes a position the way clients send it back: <sequence>.<index>.
func (p Position) String() string {
	return strconv.FormatUint(p.Sequence, 10) + "." + strconv.Itoa(p.Index)
}

// before reports whether p comes before q.
func (p Position) before(q Position) bool {
	return p.Sequence < q.Sequence || p.Sequence == q.Sequence && p.Index < q.Index
}

// ParsePosition reads what String has written and refuses everything else.
func ParsePosition(s string) (Position, error) {
	seq, idx, ok := strings.Cut(s, ".")
	if !ok {
		return Position{}, fmt.Errorf("event id %q: want <sequence>.<index>", s)
	}
	sequence, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || sequence == math.MaxUint64 {
		return Position{}, fmt.Errorf("event id %q: want <sequence>.<index>", s)
	}
	index, err := strconv.Atoi(idx)
	if err != nil || index < 0 || index > lastIndex {
		return Position{}, fmt.Errorf("event id %q: the index is 0 to %d", s, lastIndex)
	}
	p := Position{sequence, index}
	if p.String() != s {
		return Position{}, fmt.Errorf("event id %q: want <sequence>.<index>", s)
	}
	return p, nil
}
