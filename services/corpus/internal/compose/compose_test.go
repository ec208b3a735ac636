package compose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/corpus/internal/branch"
	"nexus.internal/services/corpus/internal/compose"
	"nexus.internal/services/corpus/internal/governance"
	"nexus.internal/services/corpus/internal/store"
)

type studio struct {
	*compose.Composer

	t        *testing.T
	db       *pg.DB
	branches *branch.Branches
	decider  *governance.Decider
}

func newStudio(t *testing.T) studio {
	t.Helper()
	url := testkit.PostgresURL(t)
	db := testkit.OpenPostgres(t, url, migrations.Role("corpus"))
	s := store.New(db)
	nc := testkit.NATS(t)
	box := outbox.New(db, "corpus", bus.NewPublisher(testkit.JetStream(t, nc), "corpus", time.Now), zerolog.Nop())
	decider := governance.NewDecider(governance.New([]string{"hate"}), store.NewDecisions(s, box), time.Now)
	branches := branch.New(s, 1<<20)
	return studio{compose.New(branches, decider, s), t, testkit.OpenPostgres(t, url, ""), branches, decider}
}

func (s studio) plant(text string) string {
	s.t.Helper()
	id := uuid.New()
	for _, statement := range []string{
		`INSERT INTO corpus.documents (id, path, stem, title, modality, ingest_status, checksum, byte_size, text_bytes) VALUES ($1, $2, '', '', 'text', 'ingested', $3, $4, $4)`,
		`INSERT INTO corpus.document_texts (document_id, content) VALUES ($1, $2)`,
	} {
		args := []any{id, []byte(text)}
		if strings.Contains(statement, "documents ") {
			args = []any{id, id.String(), branch.Hash(text), len(text)}
		}
		_, err := s.db.Pool.Exec(s.t.Context(), statement, args...)
		require.NoError(s.t, err)
	}
	return id.String()
}

func (s studio) rows(table string) int {
	s.t.Helper()
	var n int
	require.NoError(s.t, s.db.Pool.QueryRow(s.t.Context(), "SELECT count(*) FROM corpus."+table).Scan(&n))
	return n
}

func TestComposeKeepsWhatItShows(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	req := contract.RemixRequest{
		Asker: contract.Asker{Actor: "ann"}, SourceDocumentID: s.plant("One two three."), TargetDocumentID: s.plant("Uno dos."), Strategy: "interleave",
		Seed: -5, Mode: "PUBLIC", Compose: true, AtomLevels: []string{"word", "sentence"}, CreateBranch: true, PersistArtifact: true,
	}
	got, err := s.Remix(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, "One Uno two dos. three.", got.RemixedText)
	require.Equal(t, branch.Hash(got.RemixedText), got.TextHash)
	require.Len(t, got.SourceAtomRefs, 3+1+2+1)
	kept, err := s.Artifact(t.Context(), contract.RemixRef{RemixID: *got.RemixArtifactID})
	require.NoError(t, err)
	require.Equal(t, got.RemixedText, kept.RemixedText)
	require.Equal(t, got.NewBranchID, kept.NewBranchID)
	require.Equal(t, got.GovernanceDecisionID, kept.GovernanceDecisionID)
	require.Equal(t, "fffffffffffffffb", kept.RNGSeedHex)
	require.Equal(t, []string{"doc:" + req.SourceDocumentID, "doc:" + req.TargetDocumentID}, kept.LineageGraphRefs)
	require.Len(t, kept.SourceLinks, 4)
	require.Equal(t, 3, kept.SourceLinks[0].AtomCount)
	replay, err := s.branches.Replay(t.Context(), contract.BranchRequest{BranchID: *got.NewBranchID, FromRoot: true})
	require.NoError(t, err)
	require.Equal(t, got.TextHash, replay.TextHash)

	again, err := s.Remix(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, got.PayloadHash, again.PayloadHash)
	req.CreateBranch, req.PersistArtifact = false, false
	dry, err := s.Remix(t.Context(), req)
	require.NoError(t, err)
	require.Nil(t, dry.NewBranchID)
	require.Nil(t, dry.RemixArtifactID)
	require.Equal(t, []int{2, 2, 3}, []int{s.rows("branches"), s.rows("remixes"), s.rows("policy_decisions")})
}

func TestWhatThePolicyBlocksIsNeitherShownNorKept(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	req := contract.RemixRequest{
		SourceDocumentID: s.plant("I hate"), TargetDocumentID: s.plant("this"), Strategy: "temporal_layer", Mode: "PUBLIC",
		Compose: true, CreateBranch: true, PersistArtifact: true,
	}
	_, err := s.Remix(t.Context(), req)
	require.Equal(t, fault.Forbidden, fault.KindOf(err))
	require.Equal(t, []int{0, 0, 1}, []int{s.rows("branches"), s.rows("remixes"), s.rows("policy_decisions")}, "the decision itself is kept")
	req.Mode = "RAW"
	got, err := s.Remix(t.Context(), req)
	require.NoError(t, err)
	require.Contains(t, string(got.GovernanceTrace), `"hit_count":1`)
}

func TestRemixesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	good := contract.RemixRequest{SourceDocumentID: s.plant("a"), TargetDocumentID: s.plant("b"), Strategy: "interleave", Mode: "PUBLIC", Compose: true}
	large := s.plant(strings.Repeat("x", contract.MaxComposed))
	for name, c := range map[string]struct {
		change func(*contract.RemixRequest)
		kind   fault.Kind
	}{
		"no source":        {func(r *contract.RemixRequest) { r.SourceDocumentID = "" }, fault.Invalid},
		"two sources":      {func(r *contract.RemixRequest) { r.SourceBranchID = "b" }, fault.Invalid},
		"no target":        {func(r *contract.RemixRequest) { r.TargetDocumentID = "" }, fault.Invalid},
		"unknown strategy": {func(r *contract.RemixRequest) { r.Strategy = "stir" }, fault.Invalid},
		"unknown level":    {func(r *contract.RemixRequest) { r.AtomLevels = []string{"chapter"} }, fault.Invalid},
		"unknown document": {func(r *contract.RemixRequest) { r.TargetDocumentID = uuid.NewString() }, fault.NotFound},
		"unknown branch":   {func(r *contract.RemixRequest) { r.TargetDocumentID, r.TargetBranchID = "", "x" }, fault.NotFound},
		"too large":        {func(r *contract.RemixRequest) { r.SourceDocumentID = large }, fault.TooLarge},
	} {
		req := good
		c.change(&req)
		_, err := s.Remix(t.Context(), req)
		require.Equal(t, c.kind, fault.KindOf(err), "%s: %v", name, err)
	}
	for _, id := range []string{"x", uuid.NewString()} {
		_, err := s.Artifact(t.Context(), contract.RemixRef{RemixID: id})
		require.Equal(t, fault.NotFound, fault.KindOf(err))
	}
}

func TestDecisionsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	_, err := s.decider.Decide(t.Context(), contract.GovernRequest{Mode: "PUBLIC", CandidateOutput: strings.Repeat("x", contract.MaxCandidate+1)})
	require.Equal(t, fault.TooLarge, fault.KindOf(err))
	_, err = s.decider.Decide(t.Context(), contract.GovernRequest{Mode: "SECRET"})
	require.Equal(t, fault.Unprocessable, fault.KindOf(err))
	require.Zero(t, s.rows("policy_decisions"))
	got, err := s.decider.Decide(t.Context(), contract.GovernRequest{Mode: "PUBLIC", CandidateOutput: "hate\x00"})
	require.NoError(t, err)
	require.False(t, got.Allow)
}
