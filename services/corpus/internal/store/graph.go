package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
)

type graphRow struct {
	bun.BaseModel `bun:"table:corpus.documents,alias:d"`

	ID        uuid.UUID `bun:"id,pk"`
	Ingested  bool      `bun:"ingested,scanonly"`
	AtomCount int64     `bun:"atom_count"`
	Nodes     int64     `bun:"nodes,scanonly"`
	Atoms     int64     `bun:"atoms,scanonly"`
	Edges     int64     `bun:"edges,scanonly"`
}

// selectGraphs counts the graphs of documents in one statement, so in one
// snapshot: a save beside it is seen whole or not at all.
func selectGraphs(db bun.IDB, model any) *bun.SelectQuery {
	return db.NewSelect().Model(model).
		ColumnExpr("d.id, d.atom_count, d.ingest_status = 'ingested' AS ingested").
		ColumnExpr("(SELECT count(*) FROM corpus.document_nodes AS n WHERE n.document_id = d.id) AS nodes").
		ColumnExpr(`(SELECT coalesce(sum(cardinality(r.occurrences)), 0)
			FROM corpus.atom_runs AS r WHERE r.document_id = d.id) AS atoms`).
		ColumnExpr(`(SELECT coalesce(sum(e.last_ordinal - e.first_ordinal + 1), 0)
			FROM corpus.contains_edges AS e WHERE e.document_id = d.id) AS edges`)
}

// Graph counts the graph of one document; ErrNotFound when there is none.
func (s *Store) Graph(ctx context.Context, id uuid.UUID) (document.GraphCounts, error) {
	var row graphRow
	if err := selectGraphs(s.db.Bun, &row).Where("d.id = ?", id).Scan(ctx); err != nil {
		return document.GraphCounts{}, wrap(err, "count the graph of document", id)
	}
	return countsOf(row), nil
}

// Graphs counts the graphs of up to limit documents in the order of their ids,
// beginning behind the id after. The nil id begins at the first.
func (s *Store) Graphs(ctx context.Context, after uuid.UUID, limit int) ([]document.GraphCounts, error) {
	var rows []graphRow
	err := selectGraphs(s.db.Bun, &rows).Where("d.id > ?", after).OrderExpr("d.id").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, wrap(err, "count the graphs of documents after", after)
	}
	counts := make([]document.GraphCounts, len(rows))
	for i, row := range rows {
		counts[i] = countsOf(row)
	}
	return counts, nil
}

func countsOf(row graphRow) document.GraphCounts {
	return document.GraphCounts{
		DocumentID: row.ID, Ingested: row.Ingested, AtomCount: row.AtomCount,
		DocumentNodes: row.Nodes, AtomNodes: row.Atoms, ContainsEdges: row.Edges,
	}
}

// AtomCount is how many atoms of a level a document has.
type AtomCount struct {
	DocumentID uuid.UUID
	Level      atom.Level
	Count      int64
}

// AtomCounts counts the atoms in the graph, level by level, the newest documents
// first. With a document it counts that one's alone.
func (s *Store) AtomCounts(ctx context.Context, documentID *uuid.UUID) ([]AtomCount, error) {
	var rows []struct {
		DocumentID uuid.UUID `bun:"document_id"`
		Level      int       `bun:"level"`
		Count      int64     `bun:"count"`
	}
	query := s.db.Bun.NewSelect().TableExpr("corpus.contains_edges AS e").Join("JOIN corpus.documents AS d ON d.id = e.document_id").
		ColumnExpr("e.document_id, e.level, sum(e.last_ordinal - e.first_ordinal + 1) AS count").
		Group("e.document_id", "e.level", "d.created_at").OrderExpr("d.created_at DESC, e.document_id, e.level")
	if documentID != nil {
		query.Where("e.document_id = ?", *documentID)
	}
	if err := query.Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("count atoms: %w", err)
	}
	levels := atom.Levels()
	out := make([]AtomCount, len(rows))
	for i, r := range rows {
		out[i] = AtomCount{r.DocumentID, levels[r.Level-1], r.Count}
	}
	return out, nil
}

// DocumentNode is the node of a document in the graph.
type DocumentNode struct {
	ID       uuid.UUID         `bun:"id"`
	Title    string            `bun:"title"`
	Path     string            `bun:"path"`
	Modality contract.Modality `bun:"modality"`
}

// DocumentNodes returns the nodes of documents, newest first; with a document, its
// own alone, and none where it has no graph.
func (s *Store) DocumentNodes(ctx context.Context, documentID *uuid.UUID, limit int) ([]DocumentNode, error) {
	var nodes []DocumentNode
	query := s.db.Bun.NewSelect().TableExpr("corpus.documents AS d").ColumnExpr("d.id, d.title, d.path, d.modality").
		Where("EXISTS (SELECT FROM corpus.document_nodes AS n WHERE n.document_id = d.id)").
		OrderExpr("d.created_at DESC, d.id DESC").Limit(int64(limit))
	if documentID != nil {
		query.Where("d.id = ?", *documentID)
	}
	if err := query.Scan(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("list the nodes of documents: %w", err)
	}
	return nodes, nil
}
