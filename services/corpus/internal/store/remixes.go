package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/branch"
	"nexus.internal/services/corpus/internal/compose"
)

type remixRow struct {
	bun.BaseModel `bun:"table:corpus.remixes,alias:x"`

	ID               uuid.UUID       `bun:"id,pk"`
	Strategy         string          `bun:"strategy"`
	Seed             int64           `bun:"seed"`
	Mode             string          `bun:"mode"`
	TextHash         string          `bun:"text_hash"`
	PayloadHash      string          `bun:"payload_hash"`
	Content          []byte          `bun:"content"`
	SourceDocumentID *uuid.UUID      `bun:"source_document_id"`
	SourceBranchID   *uuid.UUID      `bun:"source_branch_id"`
	TargetDocumentID *uuid.UUID      `bun:"target_document_id"`
	TargetBranchID   *uuid.UUID      `bun:"target_branch_id"`
	NewBranchID      *uuid.UUID      `bun:"new_branch_id"`
	DecisionID       *uuid.UUID      `bun:"governance_decision_id"`
	AtomLevels       []string        `bun:"atom_levels,array"`
	SourceLinks      json.RawMessage `bun:"source_links,type:jsonb"`
	CreatedBy        string          `bun:"created_by"`
	CreatedAt        time.Time       `bun:"created_at,nullzero,default:clock_timestamp()"`
}

// previewBytes holds a preview whole, whatever its characters.
const previewBytes = contract.PreviewChars * 4

// KeepRemix implements compose.Store.
func (s *Store) KeepRemix(ctx context.Context, r contract.RemixArtifact) error {
	links, err := json.Marshal(r.SourceLinks)
	if err != nil {
		return fmt.Errorf("encode the sources of a remix: %w", err)
	}
	row := remixRow{
		Strategy: r.Strategy, Seed: r.Seed, Mode: r.Mode, TextHash: r.TextHash, PayloadHash: r.PayloadHash, Content: []byte(r.RemixedText),
		AtomLevels: append([]string{}, r.AtomLevels...), SourceLinks: links, CreatedBy: r.CreatedBy,
	}
	for _, id := range []struct {
		text *string
		into **uuid.UUID
	}{
		{r.SourceDocumentID, &row.SourceDocumentID},
		{r.SourceBranchID, &row.SourceBranchID},
		{r.TargetDocumentID, &row.TargetDocumentID},
		{r.TargetBranchID, &row.TargetBranchID},
		{r.NewBranchID, &row.NewBranchID},
		{r.GovernanceDecisionID, &row.DecisionID},
	} {
		if *id.into, err = parsed(id.text); err != nil {
			return fmt.Errorf("keep remix %s: %w", r.ID, err)
		}
	}
	if row.ID, err = uuid.Parse(r.ID); err != nil {
		return fmt.Errorf("keep remix %s: %w", r.ID, err)
	}
	if _, err := s.db.Bun.NewInsert().Model(&row).Exec(ctx); err != nil {
		return fmt.Errorf("keep remix %s: %w", r.ID, err)
	}
	return nil
}

func parsed(text *string) (*uuid.UUID, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // no id is a value
	}
	id, err := uuid.Parse(*text)
	return &id, err
}

// Remix implements compose.Store.
func (s *Store) Remix(ctx context.Context, id uuid.UUID) (contract.RemixArtifact, error) {
	var row remixRow
	err := s.db.Bun.NewSelect().Model(&row).Where("x.id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = compose.ErrNotFound
	}
	if err != nil {
		return contract.RemixArtifact{}, fmt.Errorf("load remix %s: %w", id, err)
	}
	artifact := contract.RemixArtifact{RemixItem: itemOfRemix(row), RemixedText: string(row.Content), AtomLevels: row.AtomLevels}
	for _, ref := range []struct {
		kind string
		id   *uuid.UUID
	}{{"doc:", row.SourceDocumentID}, {"branch:", row.SourceBranchID}, {"doc:", row.TargetDocumentID}, {"branch:", row.TargetBranchID}} {
		if ref.id != nil {
			artifact.LineageGraphRefs = append(artifact.LineageGraphRefs, ref.kind+ref.id.String())
		}
	}
	if err := json.Unmarshal(row.SourceLinks, &artifact.SourceLinks); err != nil {
		return contract.RemixArtifact{}, fmt.Errorf("read the sources of remix %s: %w", id, err)
	}
	return artifact, nil
}

// Remixes returns a page of remixes, newest first, and how many there are.
func (s *Store) Remixes(ctx context.Context, offset, limit int) ([]contract.RemixItem, int, error) {
	var rows []remixRow
	err := s.db.Bun.NewSelect().Model(&rows).ExcludeColumn("content", "source_links").
		ColumnExpr("substring(x.content FOR ?) AS content", previewBytes).
		OrderExpr("x.created_at DESC, x.id DESC").Offset(int64(offset)).Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("list remixes: %w", err)
	}
	total, err := s.db.Bun.NewSelect().Model((*remixRow)(nil)).Count(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("count remixes: %w", err)
	}
	items := make([]contract.RemixItem, len(rows))
	for i, r := range rows {
		items[i] = itemOfRemix(r)
	}
	return items, int(total), nil
}

func itemOfRemix(r remixRow) contract.RemixItem {
	text := func(id *uuid.UUID) *string {
		if id == nil {
			return nil
		}
		s := id.String()
		return &s
	}
	return contract.RemixItem{
		ID: r.ID.String(), RemixArtifactID: r.ID.String(), Strategy: r.Strategy, Seed: r.Seed, RNGSeedHex: strconv.FormatUint(uint64(r.Seed), 16), //nolint:gosec // the bits of the seed
		Mode: r.Mode, TextHash: r.TextHash, PayloadHash: r.PayloadHash, Preview: branch.Preview(contract.Cut(string(r.Content), previewBytes)),
		SourceDocumentID: text(r.SourceDocumentID), SourceBranchID: text(r.SourceBranchID), TargetDocumentID: text(r.TargetDocumentID),
		TargetBranchID: text(r.TargetBranchID), NewBranchID: text(r.NewBranchID), GovernanceDecisionID: text(r.DecisionID),
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt.UTC(),
	}
}
