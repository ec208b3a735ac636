package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"nexus.internal/libs/pg"
	"nexus.internal/services/audit/internal/store"
	"nexus.internal/services/audit/internal/trail"
)

// ErrBroken means that the audit trail is not what was recorded.
var ErrBroken = errors.New("the audit trail is broken")

// Range bounds a verification by the time of recording; zero times leave an end
// open.
type Range struct {
	From, To time.Time
	// Expect is a head noted earlier, as Verified.Head says it; empty for none.
	// The trail must still hold it.
	Expect string
}

// Verified says what a verification has seen.
type Verified struct {
	Segments, Entries int64
	// Early counts the entries from before the trail was chained.
	Early int64
	// Head names the newest segment. Noted somewhere else, it shows later that
	// nothing was cut off at the end.
	Head string
}

// Verify walks the trail and holds it to its chain. ErrBroken, with the first
// broken place, means that something was changed, removed, reordered or inserted.
func Verify(ctx context.Context, db *pg.DB, r Range) (Verified, error) {
	st := store.New(db)
	report, err := st.Verify(ctx, r.From, r.To)
	var broken *trail.BrokenError
	if errors.As(err, &broken) {
		return Verified{}, fmt.Errorf("%w: %w", ErrBroken, broken)
	}
	if err != nil {
		return Verified{}, err
	}
	out := Verified{Segments: report.Segments, Entries: report.Entries, Early: report.Early, Head: headName(report.Head, report.HeadHash[:])}
	if r.Expect == "" {
		return out, nil
	}
	return out, expect(ctx, st, r.Expect)
}

func headName(number int64, hash []byte) string {
	return fmt.Sprintf("%d:%s", number, hex.EncodeToString(hash))
}

// expect finds a segment that was noted earlier.
func expect(ctx context.Context, st *store.Store, noted string) error {
	var number int64
	var hash string
	if _, err := fmt.Sscanf(noted, "%d:%s", &number, &hash); err != nil {
		return fmt.Errorf("%q is not a head such as 12:0f3a…", noted)
	}
	kept, found, err := st.SegmentHash(ctx, number)
	if err != nil {
		return err
	}
	if !found || headName(number, kept) != noted {
		return fmt.Errorf("%w: segment %d is not the one that was noted: the end was cut off or made anew", ErrBroken, number)
	}
	return nil
}
