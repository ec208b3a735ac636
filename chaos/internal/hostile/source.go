package hostile

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"nexus.internal/chaos/internal/openapi"
)

// Kit is what all requests of a run are made with.
type Kit struct {
	doc  *openapi.Document
	seen *Seen
	// bombs are made when they are first wanted.
	bombs func() (once, twice []byte)
}

// NewKit makes requests for what a document describes, with what was seen.
func NewKit(doc *openapi.Document, seen *Seen) *Kit {
	return &Kit{doc, seen, sync.OnceValues(makeBombs)}
}

// Source makes one request.
type Source struct {
	*rand.Rand
	*Kit
}

// Source is that of request number n of a run.
func (k *Kit) Source(seed, n uint64) *Source {
	return &Source{rand.New(rand.NewPCG(seed, n)), k} //nolint:gosec // a seed has to give the same again
}

// one says yes once in n times.
func (s *Source) one(n int) bool { return s.IntN(n) == 0 }

func pick[T any](s *Source, from []T) T { return from[s.IntN(len(from))] }

// keep bounds what is remembered of each kind.
const keep = 64

// Seen remembers ids and names of things that exist.
type Seen struct {
	mu     sync.Mutex
	byKind map[string][]string
	next   map[string]int
	spared map[string]bool
}

// NewSeen remembers nothing yet, and never what is to be spared.
func NewSeen(spared ...string) *Seen {
	s := &Seen{byKind: map[string][]string{}, next: map[string]int{}, spared: map[string]bool{}}
	for _, id := range spared {
		s.spared[id] = true
	}
	return s
}

// Add remembers a thing; the oldest makes room.
func (s *Seen) Add(kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" || s.spared[id] {
		return
	}
	if len(s.byKind[kind]) < keep {
		s.byKind[kind] = append(s.byKind[kind], id)
		return
	}
	s.byKind[kind][s.next[kind]] = id
	s.next[kind] = (s.next[kind] + 1) % keep
}

func (s *Seen) any(r *rand.Rand, kind string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.byKind[kind]
	if len(known) == 0 {
		return "", false
	}
	return known[r.IntN(len(known))], true
}

func (s *Source) uuid() string {
	return fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", s.Uint32(), s.Uint32()&0xffff, s.Uint32()&0xfff, s.Uint32()&0xfff, s.Uint64()&0xffffffffffff)
}
