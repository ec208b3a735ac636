package trail

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"
)

// Hash is the SHA-256 of a segment.
type Hash = [sha256.Size]byte

// chainVersion begins what is hashed, so that another way of hashing could never
// give the same.
const chainVersion = "nexus.audit.segment.v1"

// Segment is what one transaction adds to the trail. Its hash covers, in this
// order and each with its length before it: the version, the hash of the segment
// before, the number, the time of recording, and of each entry by its position:
// position, event id, action, actor, source, request id, trace id, the time of
// the event, and the details to the byte. Numbers are 8 bytes, big endian; times
// are microseconds since 1970, which is what the database keeps.
type Segment struct {
	Number   int64
	Recorded time.Time
	Previous Hash

	sum     hash.Hash
	entries int
}

// NewSegment begins a segment.
func NewSegment(number int64, recorded time.Time, previous Hash) *Segment {
	s := &Segment{Number: number, Recorded: recorded, Previous: previous, sum: sha256.New()}
	s.text([]byte(chainVersion))
	s.text(previous[:])
	s.number(number)
	s.number(recorded.UnixMicro())
	return s
}

// Add adds an entry at a position; positions must grow.
func (s *Segment) Add(position int, e Entry) {
	s.number(int64(position))
	for _, word := range []string{e.EventID, e.Action, e.Actor, e.Source, e.RequestID} {
		s.text([]byte(word))
	}
	s.text(e.TraceID)
	s.number(e.OccurredAt.UnixMicro())
	s.text(e.Details)
	s.entries++
}

// Entries is how many were added.
func (s *Segment) Entries() int { return s.entries }

// Hash is the hash of what was added so far.
func (s *Segment) Hash() Hash { return Hash(s.sum.Sum(nil)) }

func (s *Segment) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	s.sum.Write(b[:])
}

func (s *Segment) text(t []byte) {
	s.number(int64(len(t)))
	s.sum.Write(t)
}
