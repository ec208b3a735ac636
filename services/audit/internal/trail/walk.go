package trail

import (
	"fmt"
	"time"
)

// Breach is a way in which a trail can be broken.
type Breach string

// The ways.
const (
	Removed  Breach = "removed"
	Inserted Breach = "inserted"
	// Changed covers entries that were put in another order as well.
	Changed Breach = "changed or reordered"
)

// BrokenError says where a trail is broken first.
type BrokenError struct {
	Segment int64
	Kind    Breach
	Detail  string
}

// Error implements error.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("segment %d: something was %s: %s", e.Segment, e.Kind, e.Detail)
}

// Recorded is a segment as it was kept.
type Recorded struct {
	Number     int64
	RecordedAt time.Time
	Entries    int
	Previous   Hash
	Hash       Hash
}

// Report says what a walk has seen.
type Report struct {
	Segments, Entries int64
	// Early counts the entries from before the chain, which nothing protects.
	Early int64
	// Head is the newest segment: whoever notes it elsewhere can tell later that
	// nothing was cut off behind it.
	Head     int64
	HeadHash Hash
}

// Walk holds segments, in their order, to the chain.
type Walk struct {
	report  Report
	started bool
	at      Recorded
	again   *Segment
	foreign int
}

// NewWalk begins anywhere in the chain.
func NewWalk() *Walk { return &Walk{} }

// Begin goes on to the next segment.
func (w *Walk) Begin(r Recorded) error {
	switch {
	case !w.started:
	case r.Number != w.at.Number+1:
		return &BrokenError{r.Number, Removed, fmt.Sprintf("it should be segment %d", w.at.Number+1)}
	case r.Previous != w.at.Hash:
		return &BrokenError{r.Number, Changed, "it does not follow the segment before"}
	}
	w.started, w.at, w.foreign = true, r, 0
	w.again = NewSegment(r.Number, r.RecordedAt, r.Previous)
	return nil
}

// Add adds an entry that is said to be of a segment.
func (w *Walk) Add(segment int64, position int, e Entry) {
	if segment != w.at.Number {
		w.foreign++
		return
	}
	w.again.Add(position, e)
}

// End compares the segment with what it was when it was recorded.
func (w *Walk) End() error {
	if w.at.Number == 0 {
		// Segment 0 counts what was there before the chain.
		return nil
	}
	n := w.again.Entries()
	switch {
	case w.foreign > 0:
		return &BrokenError{w.at.Number, Removed, "entries before it belong to a segment that is gone"}
	case n < w.at.Entries:
		return &BrokenError{w.at.Number, Removed, fmt.Sprintf("%d of its %d entries are gone", w.at.Entries-n, w.at.Entries)}
	case n > w.at.Entries:
		return &BrokenError{w.at.Number, Inserted, fmt.Sprintf("it has %d entries more than it was recorded with", n-w.at.Entries)}
	case w.again.Hash() != w.at.Hash:
		return &BrokenError{w.at.Number, Changed, "its entries are not those it was recorded with"}
	}
	w.report.Segments++
	w.report.Entries += int64(n)
	return nil
}

// Report is what was seen so far.
func (w *Walk) Report() Report {
	w.report.Head, w.report.HeadHash = w.at.Number, w.at.Hash
	return w.report
}
