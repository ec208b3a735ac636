package branch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/corpus/internal/branch"
	"nexus.internal/services/corpus/internal/evolve"
	"nexus.internal/services/corpus/internal/store"
)

// grove is a database with documents for branches to grow on.
type grove struct {
	*branch.Branches

	t     testing.TB
	db    *pg.DB
	store *store.Store
}

func newGrove(t testing.TB, maxBytes int64) grove {
	t.Helper()
	url := testkit.PostgresURL(t)
	s := store.New(testkit.OpenPostgres(t, url, migrations.Role("corpus")))
	return grove{Branches: branch.New(s, maxBytes), t: t, db: testkit.OpenPostgres(t, url, ""), store: s}
}

// plant makes a document with a text.
func (g grove) plant(text string) string {
	g.t.Helper()
	id := uuid.New()
	g.write(id, text, "ingested")
	return id.String()
}

func (g grove) write(id uuid.UUID, text, status string) {
	g.t.Helper()
	size := len(text)
	if status != "ingested" {
		size = 0
	}
	_, err := g.db.Pool.Exec(g.t.Context(), `
		INSERT INTO corpus.documents (id, path, stem, title, modality, ingest_status, checksum, byte_size, text_bytes)
		VALUES ($1, $5, '', '', 'text', $2, $3, $4, $4)
		ON CONFLICT (id) DO UPDATE SET checksum = excluded.checksum, byte_size = excluded.byte_size, text_bytes = excluded.text_bytes`,
		id, status, branch.Hash(text), size, id.String())
	require.NoError(g.t, err)
	_, err = g.db.Pool.Exec(g.t.Context(), `
		INSERT INTO corpus.document_texts (document_id, content) VALUES ($1, $2) ON CONFLICT (document_id) DO UPDATE SET content = excluded.content`, id, []byte(text))
	require.NoError(g.t, err)
}

func event(eventType, payload string) contract.EvolveEvent {
	return contract.EvolveEvent{EventType: eventType, EventPayload: json.RawMessage(payload)}
}

func (g grove) grow(parent, document string, events ...contract.EvolveEvent) contract.EvolveReply {
	g.t.Helper()
	reply, err := g.Evolve(g.t.Context(), contract.EvolveRequest{ParentBranchID: parent, RootDocumentID: document, Events: events, Mode: "PUBLIC", Actor: "ann"})
	require.NoError(g.t, err)
	return reply
}

func (g grove) count() int {
	g.t.Helper()
	var n int
	require.NoError(g.t, g.db.Pool.QueryRow(g.t.Context(), "SELECT count(*) FROM corpus.branches").Scan(&n))
	return n
}

const text = "The old knight wrote a scene of the flight.\n\nAEON, he said! And they killed the bees."

// anyEvent is an event with a payload, both by chance.
func anyEvent(r *rand.Rand) contract.EvolveEvent {
	switch r.IntN(6) {
	case 0:
		return event(evolve.NaturalDrift, `{}`)
	case 1:
		return event(evolve.ReverseDrift, fmt.Sprintf(`{"seed":%d}`, r.Int64()))
	case 2:
		return event(evolve.SyntheticMutation, fmt.Sprintf(`{"seed":%d,"mutation_rate":%.3f}`, r.IntN(1000), r.Float64()/4))
	case 3:
		phase := []string{"peak", "compression", "rebirth"}[r.IntN(3)]
		return event(evolve.PhaseShift, fmt.Sprintf(`{"seed":%d,"phase":%q,"acceleration":%.2f}`, r.IntN(1000), phase, .1+r.Float64()))
	case 4:
		return event(evolve.GlyphFusion, `{"left":"h","right":"e","fused":"ɦ"}`)
	default:
		return event(evolve.Remix, fmt.Sprintf(`{"strategy":"interleave","remixed_text":"The song %d of the kin."}`, r.IntN(1000)))
	}
}

// A replay from the last checkpoint and one of every event come to the same text,
// which is the one that was written; with merges on the way, too.
func TestCheckpointsEqualFullReplay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			g := newGrove(t, 1<<20)
			document := g.plant(text)
			tips := g.grow("", document, anyEvent(r)).BranchIDs
			for range 15 {
				on := tips[r.IntN(len(tips))]
				if r.IntN(5) == 0 {
					strategies := evolve.Strategies()
					merged, err := g.Merge(t.Context(), contract.MergeRequest{
						LeftBranchID: on, RightBranchID: tips[r.IntN(len(tips))], Strategy: strategies[r.IntN(len(strategies))], Mode: "PUBLIC",
					})
					require.NoError(t, err)
					tips = append(tips, merged.NewBranchID)
					continue
				}
				var events []contract.EvolveEvent
				for range 1 + r.IntN(12) {
					events = append(events, anyEvent(r))
				}
				tips = append(tips, g.grow(on, "", events...).BranchIDs...)
			}
			for _, id := range tips {
				short, err := g.Replay(t.Context(), contract.BranchRequest{BranchID: id})
				require.NoError(t, err)
				full, err := g.Replay(t.Context(), contract.BranchRequest{BranchID: id, FromRoot: true})
				require.NoError(t, err)
				require.Equal(t, full, short)
			}
			var missing int
			require.NoError(t, g.db.Pool.QueryRow(t.Context(), `
				SELECT count(*) FROM corpus.branches AS b LEFT JOIN corpus.branch_checkpoints AS c ON c.branch_id = b.id
				WHERE (b.event_index % 10 = 0 OR b.event_type IN ('merge', 'remix')) <> (c.branch_id IS NOT NULL)`).Scan(&missing))
			require.Zero(t, missing, "checkpoints are where they should be")
		})
	}
}

func TestAChangedCheckpointIsNoticed(t *testing.T) {
	t.Parallel()
	g := newGrove(t, 1<<20)
	events := make([]contract.EvolveEvent, 11)
	for i := range events {
		events[i] = event(evolve.NaturalDrift, `{}`)
	}
	made := g.grow("", g.plant(text), events...)
	_, err := g.db.Pool.Exec(t.Context(), "UPDATE corpus.branch_checkpoints SET content = 'forged'")
	require.NoError(t, err)
	_, err = g.Replay(t.Context(), contract.BranchRequest{BranchID: made.FinalBranchID})
	require.ErrorContains(t, err, "was made with")
	_, err = g.Replay(t.Context(), contract.BranchRequest{BranchID: made.FinalBranchID, FromRoot: true})
	require.NoError(t, err, "the events themselves are unharmed")
}

func TestEvolveManyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	g := newGrove(t, 200)
	document := g.plant(text)
	good := event(evolve.NaturalDrift, `{}`)
	for _, last := range []contract.EvolveEvent{
		event("sideways", `{}`),
		event(evolve.GlyphFusion, `{"left":""}`),
		event(evolve.NaturalDrift, `{"expected_parent_event_index":7}`),
		event(evolve.Remix, `{"remixed_text":"`+strings.Repeat("x", 300)+`"}`),
	} {
		_, err := g.Evolve(t.Context(), contract.EvolveRequest{RootDocumentID: document, Events: []contract.EvolveEvent{good, good, last}, Mode: "PUBLIC"})
		require.Error(t, err)
		require.NotEqual(t, fault.Internal, fault.KindOf(err), "%v", err)
		require.Zero(t, g.count())
	}
	_, err := g.Evolve(t.Context(), contract.EvolveRequest{RootDocumentID: document, Mode: "PUBLIC"})
	require.EqualError(t, err, "events must not be empty")
	reply := g.grow("", document, good, event(evolve.PhaseShift, `{"phase":"peak","expected_parent_event_index":1}`), good)
	require.Equal(t, 3, reply.EventCount)
	require.Len(t, reply.BranchIDs, 3)
	require.Equal(t, reply.BranchIDs[2], reply.FinalBranchID)
	require.Equal(t, 3, g.count())
}

func TestWhereAnEvolutionCannotBegin(t *testing.T) {
	t.Parallel()
	g := newGrove(t, 100)
	torn, skipped := uuid.New(), uuid.New()
	g.write(torn, "x", "conflict")
	g.write(skipped, "x", "skipped")
	for _, c := range []struct {
		parent, document string
		kind             fault.Kind
	}{
		{"", "", fault.Invalid},
		{"b", "d", fault.Invalid},
		{"", "no id", fault.NotFound},
		{"", uuid.NewString(), fault.NotFound},
		{"no id", "", fault.NotFound},
		{uuid.NewString(), "", fault.NotFound},
		{"", torn.String(), fault.Conflict},
		{"", skipped.String(), fault.Conflict},
		{"", g.plant(strings.Repeat("x", 101)), fault.TooLarge},
	} {
		_, err := g.Evolve(t.Context(), contract.EvolveRequest{
			ParentBranchID: c.parent, RootDocumentID: c.document, Events: []contract.EvolveEvent{event(evolve.NaturalDrift, ``)}, Mode: "PUBLIC",
		})
		require.Equal(t, c.kind, fault.KindOf(err), "%q %q: %v", c.parent, c.document, err)
	}
	require.Zero(t, g.count())
}

// Branches keep the text they began with when the document is ingested again.
func TestBranchesOutliveAVersionOfTheirDocument(t *testing.T) {
	t.Parallel()
	g := newGrove(t, 1<<20)
	document := g.plant(text)
	before := g.grow("", document, event(evolve.NaturalDrift, ``))
	g.write(uuid.MustParse(document), "Another text.", "ingested")
	again, err := g.Replay(t.Context(), contract.BranchRequest{BranchID: before.FinalBranchID, FromRoot: true})
	require.NoError(t, err)
	require.Equal(t, before.FinalTextHash, again.TextHash)
	after := g.grow("", document, event(evolve.PhaseShift, `{"phase":"peak"}`))
	require.Equal(t, "ANOTHER TEXT.", after.FinalPreview)
	merged, err := g.Merge(t.Context(), contract.MergeRequest{LeftBranchID: before.FinalBranchID, RightBranchID: after.FinalBranchID, Mode: "PUBLIC"})
	require.NoError(t, err)
	require.Nil(t, merged.LCABranchID)
	_, err = g.Replay(t.Context(), contract.BranchRequest{BranchID: merged.NewBranchID, FromRoot: true})
	require.NoError(t, err)
}

func TestMergeFindsTheCommonAncestor(t *testing.T) {
	t.Parallel()
	g := newGrove(t, 1<<20)
	one, other := g.plant(text), g.plant("Something else.")
	drift := event(evolve.NaturalDrift, ``)
	base := g.grow("", one, drift, drift).FinalBranchID
	left := g.grow(base, "", drift, drift).FinalBranchID
	right := g.grow(base, "", event(evolve.PhaseShift, `{"phase":"peak"}`)).FinalBranchID
	merged, err := g.Merge(t.Context(), contract.MergeRequest{LeftBranchID: left, RightBranchID: right, Strategy: evolve.LeftWins, Mode: "PUBLIC"})
	require.NoError(t, err)
	require.Equal(t, base, *merged.LCABranchID)
	self, err := g.Merge(t.Context(), contract.MergeRequest{LeftBranchID: left, RightBranchID: left, Mode: "PUBLIC"})
	require.NoError(t, err)
	require.Equal(t, left, *self.LCABranchID)
	require.Contains(t, string(self.ConflictSemantics), "identical_inputs")
	stranger := g.grow("", other, drift).FinalBranchID
	before := g.count()
	for _, bad := range []contract.MergeRequest{
		{LeftBranchID: left, RightBranchID: stranger},
		{LeftBranchID: left, RightBranchID: right, Strategy: "coin_toss"},
	} {
		_, err = g.Merge(t.Context(), bad)
		require.Equal(t, fault.Invalid, fault.KindOf(err), "%v", err)
	}
	_, err = g.Merge(t.Context(), contract.MergeRequest{LeftBranchID: left, RightBranchID: uuid.NewString()})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.Equal(t, before, g.count())

	v, err := g.Visualization(t.Context(), merged.NewBranchID)
	require.NoError(t, err)
	require.Equal(t, contract.VisualizationSummary{EventCount: 6, EdgeCount: 6, LineageDepth: 5, SecondaryLineageBranchCount: 1, MergeSecondaryEdgeCount: 1}, v.Summary)
	timeline, err := g.Timeline(t.Context(), merged.NewBranchID)
	require.NoError(t, err)
	require.Len(t, timeline.Events, 5)
	for i, e := range timeline.Events {
		require.Equal(t, i+1, e.EventIndex)
	}
}

func TestLargeRemixPayloadsAreKeptShort(t *testing.T) {
	t.Parallel()
	g := newGrove(t, 1<<20)
	long := strings.Repeat("é ", 5000)
	made := g.grow("", g.plant(text), event(evolve.Remix, `{"strategy":"interleave","remixed_text":"`+long+`"}`))
	require.Equal(t, branch.Hash(long), made.FinalTextHash)
	timeline, err := g.Timeline(t.Context(), made.FinalBranchID)
	require.NoError(t, err)
	require.Less(t, len(timeline.Events[0].EventPayload), 2000)
	require.Contains(t, string(timeline.Events[0].EventPayload), "remixed_text_truncated")
	g.grow("", g.plant(text), event(evolve.NaturalDrift, `{"seed":1`+strings.Repeat(" ", 5000)+`}`))
	for _, bad := range []string{`{"strategy":"a\u0000","remixed_text":""}`, "{\"strategy\":\"\xff\",\"remixed_text\":\"\"}"} {
		_, err := g.Evolve(t.Context(), contract.EvolveRequest{RootDocumentID: g.plant(text), Mode: "PUBLIC", Events: []contract.EvolveEvent{event(evolve.Remix, bad)}})
		require.Equal(t, fault.Invalid, fault.KindOf(err), "%q: %v", bad, err)
	}
}

// forks counts how often the store was asked for a lineage from the root.
type forks struct {
	branch.Store

	lineages int
}

func (f *forks) Lineage(ctx context.Context, id uuid.UUID) ([]branch.Branch, error) {
	f.lineages++
	return f.Store.Lineage(ctx, id)
}

// Merges of merges are each replayed once: the number of ways through a lattice
// grows with every step, the work must not.
func TestFullReplayOfALatticeOfMerges(t *testing.T) {
	t.Parallel()
	g := newGrove(t, 1<<20)
	drift := event(evolve.NaturalDrift, ``)
	document := g.plant("short")
	a, b := g.grow("", document, drift).FinalBranchID, g.grow("", document, event(evolve.PhaseShift, `{"phase":"peak"}`)).FinalBranchID
	const steps = 12
	for range steps {
		left, err := g.Merge(t.Context(), contract.MergeRequest{LeftBranchID: a, RightBranchID: b, Strategy: evolve.LeftWins, Mode: "PUBLIC"})
		require.NoError(t, err)
		right, err := g.Merge(t.Context(), contract.MergeRequest{LeftBranchID: b, RightBranchID: a, Strategy: evolve.RightWins, Mode: "PUBLIC"})
		require.NoError(t, err)
		a, b = left.NewBranchID, right.NewBranchID
	}
	counted := &forks{Store: g.store}
	_, err := branch.New(counted, 1<<20).Replay(t.Context(), contract.BranchRequest{BranchID: a, FromRoot: true})
	require.NoError(t, err)
	require.LessOrEqual(t, counted.lineages, 2*steps+2)
}
