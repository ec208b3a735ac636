package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/services/corpus/internal/branch"
)

type branchRow struct {
	bun.BaseModel `bun:"table:corpus.branches,alias:b"`

	ID             uuid.UUID       `bun:"id,pk"`
	ParentID       uuid.UUID       `bun:"parent_branch_id,nullzero"`
	RootDocumentID uuid.UUID       `bun:"root_document_id"`
	RootChecksum   string          `bun:"root_checksum"`
	Mode           string          `bun:"mode"`
	EventIndex     int             `bun:"event_index"`
	EventID        uuid.UUID       `bun:"event_id"`
	EventType      string          `bun:"event_type"`
	EventPayload   json.RawMessage `bun:"event_payload,type:jsonb"`
	DiffSummary    json.RawMessage `bun:"diff_summary,type:jsonb"`
	MergedID       uuid.UUID       `bun:"merged_branch_id,nullzero"`
	LCAID          uuid.UUID       `bun:"lca_branch_id,nullzero"`
	TextHash       string          `bun:"text_hash"`
	CreatedBy      string          `bun:"created_by"`
	CreatedAt      time.Time       `bun:"created_at,nullzero,default:clock_timestamp()"`
}

type branchRootRow struct {
	bun.BaseModel `bun:"table:corpus.branch_roots,alias:r"`

	DocumentID uuid.UUID `bun:"document_id,pk"`
	Checksum   string    `bun:"checksum,pk"`
	Content    []byte    `bun:"content"`
}

type checkpointRow struct {
	bun.BaseModel `bun:"table:corpus.branch_checkpoints,alias:c"`

	BranchID uuid.UUID `bun:"branch_id,pk"`
	Content  []byte    `bun:"content"`
}

func (r branchRow) branch() branch.Branch {
	return branch.Branch{
		ID: r.ID, Parent: r.ParentID, RootDocumentID: r.RootDocumentID, RootChecksum: r.RootChecksum, Mode: r.Mode, Index: r.EventIndex,
		EventID: r.EventID, EventType: r.EventType, Payload: r.EventPayload, Diff: r.DiffSummary, Merged: r.MergedID, LCA: r.LCAID,
		TextHash: r.TextHash, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt,
	}
}

// notFoundBranch says what was being done, and turns the absence of a row into
// branch.ErrNotFound.
func notFoundBranch(err error, what string, id uuid.UUID) error {
	if errors.Is(err, sql.ErrNoRows) {
		err = branch.ErrNotFound
	}
	return fmt.Errorf("%s %s: %w", what, id, err)
}

// Root implements branch.Store.
func (s *Store) Root(ctx context.Context, documentID uuid.UUID, maxBytes int64) (branch.Root, error) {
	slice, err := textSlice(ctx, s.db.Bun, documentID, 0, int(min(maxBytes, maxValueBytes)))
	if err != nil {
		return branch.Root{}, notFoundBranch(err, "read the text of document", documentID)
	}
	root := branch.Root{
		DocumentID: documentID, Checksum: slice.Checksum, Ingested: slice.Status == contract.FileIngested, Bytes: slice.Total, Text: string(slice.Content),
	}
	if reason := slice.ConflictReason(); reason != nil {
		root.Conflict = *reason
	}
	return root, nil
}

// RootText implements branch.Store.
func (s *Store) RootText(ctx context.Context, documentID uuid.UUID, checksum string) (string, error) {
	var row branchRootRow
	err := s.db.Bun.NewSelect().Model(&row).Where("r.document_id = ? AND r.checksum = ?", documentID, checksum).Scan(ctx)
	if err != nil {
		return "", notFoundBranch(err, "read the root text of document", documentID)
	}
	return string(row.Content), nil
}

// Insert implements branch.Store.
func (s *Store) Insert(ctx context.Context, root *branch.Root, branches []branch.Branch) error {
	err := pg.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error { return insertBranches(ctx, tx, root, branches) })
	if err != nil {
		return fmt.Errorf("write branches: %w", err)
	}
	return nil
}

func insertBranches(ctx context.Context, tx bun.Tx, root *branch.Root, branches []branch.Branch) error {
	if root != nil {
		row := branchRootRow{DocumentID: root.DocumentID, Checksum: root.Checksum, Content: []byte(root.Text)}
		if _, err := tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
			return fmt.Errorf("write the root text: %w", err)
		}
	}
	rows := make([]branchRow, len(branches))
	var checkpoints []checkpointRow
	for i, b := range branches {
		rows[i] = branchRow{
			ID: b.ID, ParentID: b.Parent, RootDocumentID: b.RootDocumentID, RootChecksum: b.RootChecksum, Mode: b.Mode, EventIndex: b.Index,
			EventID: b.EventID, EventType: b.EventType, EventPayload: b.Payload, DiffSummary: b.Diff, MergedID: b.Merged, LCAID: b.LCA,
			TextHash: b.TextHash, CreatedBy: b.CreatedBy,
		}
		if b.Checkpoint != nil {
			checkpoints = append(checkpoints, checkpointRow{BranchID: b.ID, Content: []byte(*b.Checkpoint)})
		}
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return fmt.Errorf("write the branches: %w", err)
	}
	if len(checkpoints) == 0 {
		return nil
	}
	if _, err := tx.NewInsert().Model(&checkpoints).Exec(ctx); err != nil {
		return fmt.Errorf("write the checkpoints: %w", err)
	}
	return nil
}

// Branch implements branch.Store.
func (s *Store) Branch(ctx context.Context, id uuid.UUID) (branch.Branch, error) {
	var row branchRow
	if err := s.db.Bun.NewSelect().Model(&row).Where("b.id = ?", id).Scan(ctx); err != nil {
		return branch.Branch{}, notFoundBranch(err, "load branch", id)
	}
	return row.branch(), nil
}

// Lineage implements branch.Store.
func (s *Store) Lineage(ctx context.Context, id uuid.UUID) ([]branch.Branch, error) {
	return s.ancestors(ctx, id, `
		WITH RECURSIVE up AS (
			SELECT b.* FROM corpus.branches AS b WHERE b.id = ?
			UNION ALL
			SELECT p.* FROM corpus.branches AS p JOIN up ON p.id = up.parent_branch_id
		) SELECT * FROM up ORDER BY event_index`)
}

// Tail implements branch.Store.
func (s *Store) Tail(ctx context.Context, id uuid.UUID) ([]branch.Branch, error) {
	tail, err := s.ancestors(ctx, id, `
		WITH RECURSIVE up AS (
			SELECT b.*, EXISTS (SELECT FROM corpus.branch_checkpoints AS c WHERE c.branch_id = b.id) AS kept
			FROM corpus.branches AS b WHERE b.id = ?
			UNION ALL
			SELECT p.*, EXISTS (SELECT FROM corpus.branch_checkpoints AS c WHERE c.branch_id = p.id)
			FROM corpus.branches AS p JOIN up ON p.id = up.parent_branch_id WHERE NOT up.kept
		) SELECT id, parent_branch_id, root_document_id, root_checksum, mode, event_index, event_id, event_type, event_payload,
			diff_summary, merged_branch_id, lca_branch_id, text_hash, created_by, created_at
		FROM up ORDER BY event_index`)
	if err != nil {
		return nil, err
	}
	text, err := s.Checkpoint(ctx, tail[0].ID)
	switch {
	case err == nil:
		tail[0].Checkpoint = &text
	case !errors.Is(err, branch.ErrNotFound):
		return nil, err
	}
	return tail, nil
}

func (s *Store) ancestors(ctx context.Context, id uuid.UUID, query string) ([]branch.Branch, error) {
	var rows []branchRow
	if err := s.db.Bun.NewRaw(query, id).Scan(ctx, &rows); err != nil {
		return nil, notFoundBranch(err, "load the lineage of branch", id)
	}
	if len(rows) == 0 {
		return nil, notFoundBranch(sql.ErrNoRows, "load the lineage of branch", id)
	}
	out := make([]branch.Branch, len(rows))
	for i, r := range rows {
		out[i] = r.branch()
	}
	return out, nil
}

// Checkpoint implements branch.Store.
func (s *Store) Checkpoint(ctx context.Context, id uuid.UUID) (string, error) {
	var row checkpointRow
	if err := s.db.Bun.NewSelect().Model(&row).Where("c.branch_id = ?", id).Scan(ctx); err != nil {
		return "", notFoundBranch(err, "read the text of branch", id)
	}
	return string(row.Content), nil
}

// Branches returns a page of branches, newest first, and how many there are.
func (s *Store) Branches(ctx context.Context, offset, limit int) ([]contract.BranchItem, int, error) {
	var rows []branchRow
	err := s.db.Bun.NewSelect().Model(&rows).
		Column("id", "parent_branch_id", "root_document_id", "mode", "event_index", "event_type", "created_by", "created_at").
		OrderExpr("b.created_at DESC, b.id DESC").Offset(int64(offset)).Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("list branches: %w", err)
	}
	total, err := s.db.Bun.NewSelect().Model((*branchRow)(nil)).Count(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("count branches: %w", err)
	}
	items := make([]contract.BranchItem, len(rows))
	for i, r := range rows {
		items[i] = contract.BranchItem{
			ID: r.ID.String(), RootDocumentID: r.RootDocumentID.String(), Mode: r.Mode, BranchVersion: r.EventIndex,
			EventType: r.EventType, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt.UTC(),
		}
		if r.ParentID != uuid.Nil {
			parent := r.ParentID.String()
			items[i].ParentBranchID = &parent
		}
	}
	return items, int(total), nil
}
