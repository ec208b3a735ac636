package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
)

type documentRow struct {
	bun.BaseModel `bun:"table:corpus.documents,alias:d"`

	ID         uuid.UUID       `bun:"id,pk"`
	Path       string          `bun:"path"`
	Title      string          `bun:"title"`
	Modality   string          `bun:"modality"`
	Status     string          `bun:"ingest_status"`
	Checksum   string          `bun:"checksum"`
	ByteSize   int64           `bun:"byte_size"`
	TextBytes  int64           `bun:"text_bytes"`
	AtomCount  int64           `bun:"atom_count"`
	AtomTracks []string        `bun:"atom_tracks,array"`
	AtomLevels []string        `bun:"atom_levels,array"`
	Segments   json.RawMessage `bun:"segments,type:jsonb"`
	CreatedAt  time.Time       `bun:"created_at"`
	UpdatedAt  time.Time       `bun:"updated_at"`
	Node       bool            `bun:"has_node,scanonly"`
	Projected  int64           `bun:"projected,scanonly"`
}

// selectDocuments selects documents with what their graph holds.
func selectDocuments(db bun.IDB, model any) *bun.SelectQuery {
	return db.NewSelect().Model(model).
		ColumnExpr("EXISTS (SELECT FROM corpus.document_nodes AS n WHERE n.document_id = d.id) AS has_node").
		ColumnExpr(`(SELECT coalesce(sum(e.last_ordinal - e.first_ordinal + 1), 0)
			FROM corpus.contains_edges AS e WHERE e.document_id = d.id) AS projected`)
}

// Documents returns a page of documents, oldest first, and how many there are in
// all.
func (s *Store) Documents(ctx context.Context, offset, limit int) ([]contract.DocumentItem, int, error) {
	var rows []documentRow
	err := selectDocuments(s.db.Bun, &rows).
		ColumnExpr("d.id, d.path, d.modality, d.ingest_status, d.atom_count, d.created_at, d.updated_at").
		OrderExpr("d.created_at, d.id").Offset(int64(offset)).Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, 0, wrap(err, "list documents", uuid.Nil)
	}
	total, err := s.db.Bun.NewSelect().TableExpr("corpus.documents").Count(ctx)
	if err != nil {
		return nil, 0, wrap(err, "count documents", uuid.Nil)
	}
	items := make([]contract.DocumentItem, len(rows))
	for i, row := range rows {
		items[i] = itemOf(row)
	}
	return items, int(total), nil
}

// Ingested returns those of some documents that are there and ingested.
func (s *Store) Ingested(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	var found []uuid.UUID
	err := s.db.Bun.NewSelect().TableExpr("corpus.documents").Column("id").
		Where("id IN (?)", bun.List(ids)).Where("ingest_status = ?", contract.FileIngested).Scan(ctx, &found)
	if err != nil {
		return nil, wrap(err, "look for documents", uuid.Nil)
	}
	ingested := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		ingested[id] = true
	}
	return ingested, nil
}

func itemOf(row documentRow) contract.DocumentItem {
	modality, status := contract.Modality(row.Modality), contract.FileStatus(row.Status)
	projection := contract.ProjectionPending
	if row.Node {
		projection = contract.ProjectionComplete
	}
	return contract.DocumentItem{
		ID:                      row.ID.String(),
		Path:                    row.Path,
		Modality:                modality,
		Ingested:                status == contract.FileIngested,
		IngestStatus:            status,
		ConflictFlag:            status == contract.FileConflict,
		ConflictReason:          conflictReason(status),
		AtomCount:               row.AtomCount,
		GraphProjectedAtomCount: row.Projected,
		GraphProjectionStatus:   projection,
		ModalityStatus:          map[contract.Modality]string{modality: document.ExtractionStatus(status)},
		ProviderSummary:         document.Providers(modality, status),
		CreatedAt:               row.CreatedAt.UTC(),
		UpdatedAt:               row.UpdatedAt.UTC(),
	}
}

func conflictReason(status contract.FileStatus) *string {
	if status != contract.FileConflict {
		return nil
	}
	reason := document.ConflictReason
	return &reason
}

// Relative is a document that belongs with another one.
type Relative struct {
	ID       uuid.UUID         `bun:"related_document_id"`
	Modality contract.Modality `bun:"related_modality"`
	Group    string            `bun:"variant_group"`
}

// Details is a document with what its graph and its relatives are made from.
type Details struct {
	Item      contract.DocumentItem
	Title     string
	Checksum  string
	Bytes     int64
	TextBytes int64
	Tracks    []string
	Levels    []string
	Segments  json.RawMessage
	// TextHead is the beginning of the text; it may end inside a character.
	TextHead []byte
	// LevelCounts are the numbers of atoms of the levels, smallest level first.
	LevelCounts []LevelCount
	// Siblings are the first documents with the same stem.
	Siblings []Relative
}

// LevelCount is how many atoms of a level the graph of a document holds.
type LevelCount struct {
	Level atom.Level
	Count int64
}

// Document returns a document, with at most headBytes of its text and
// maxSiblings siblings; ErrNotFound when there is none.
func (s *Store) Document(ctx context.Context, id uuid.UUID, headBytes, maxSiblings int) (Details, error) {
	var details Details
	// One snapshot, so that text and graph are of the same version.
	err := s.db.Bun.RunInTx(ctx, snapshot(), func(ctx context.Context, tx bun.Tx) error {
		var row documentRow
		err := selectDocuments(tx, &row).
			ColumnExpr("d.id, d.path, d.modality, d.ingest_status, d.atom_count, d.created_at, d.updated_at").
			ColumnExpr("d.title, d.checksum, d.byte_size, d.text_bytes, d.atom_tracks, d.atom_levels, d.segments").
			Where("d.id = ?", id).Scan(ctx)
		if err != nil {
			return err
		}
		details = Details{
			Item: itemOf(row), Title: row.Title, Checksum: row.Checksum, Bytes: row.ByteSize, TextBytes: row.TextBytes,
			Tracks: row.AtomTracks, Levels: row.AtomLevels, Segments: row.Segments,
		}
		text, err := textSlice(ctx, tx, id, 0, headBytes)
		if err != nil {
			return err
		}
		details.TextHead = text.Content
		if details.LevelCounts, err = levelCounts(ctx, tx, id); err != nil {
			return err
		}
		return tx.NewSelect().TableExpr("corpus.document_siblings").
			Column("related_document_id", "related_modality", "variant_group").
			Where("document_id = ?", id).Order("related_document_id").Limit(int64(maxSiblings)).Scan(ctx, &details.Siblings)
	})
	if err != nil {
		return Details{}, wrap(err, "load document", id)
	}
	return details, nil
}

// snapshot makes a transaction that reads one state of the database throughout.
func snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func levelCounts(ctx context.Context, db bun.IDB, id uuid.UUID) ([]LevelCount, error) {
	var rows []struct {
		Level int   `bun:"level"`
		Count int64 `bun:"count"`
	}
	err := db.NewSelect().TableExpr("corpus.contains_edges").Column("level").
		ColumnExpr("sum(last_ordinal - first_ordinal + 1) AS count").
		Where("document_id = ?", id).Group("level").Order("level").Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	levels := atom.Levels()
	counts := make([]LevelCount, len(rows))
	for i, row := range rows {
		counts[i] = LevelCount{levels[row.Level-1], row.Count}
	}
	return counts, nil
}

// TextSlice is a part of a document's extracted text.
type TextSlice struct {
	Title    string              `bun:"title"`
	Modality contract.Modality   `bun:"modality"`
	Status   contract.FileStatus `bun:"ingest_status"`
	Checksum string              `bun:"checksum"`
	Total    int64               `bun:"text_bytes"`
	Content  []byte              `bun:"content"`
}

// ConflictReason says why the document is in conflict, nil when it is not.
func (t TextSlice) ConflictReason() *string {
	return conflictReason(t.Status)
}

// Text returns up to limit bytes of a document's text, from offset on;
// ErrNotFound when there is no such document. A document without text, and an
// offset behind its end, give no bytes.
func (s *Store) Text(ctx context.Context, id uuid.UUID, offset int64, limit int) (TextSlice, error) {
	slice, err := textSlice(ctx, s.db.Bun, id, offset, limit)
	if err != nil {
		return TextSlice{}, wrap(err, "read the text of document", id)
	}
	return slice, nil
}

func textSlice(ctx context.Context, db bun.IDB, id uuid.UUID, offset int64, limit int) (TextSlice, error) {
	var slice TextSlice
	err := db.NewSelect().TableExpr("corpus.documents AS d").
		ColumnExpr("d.title, d.modality, d.ingest_status, d.checksum, d.text_bytes").
		// substring counts in 32 bits.
		ColumnExpr("substring(t.content FROM ? FOR ?) AS content", min(offset, maxValueBytes)+1, limit).
		Join("LEFT JOIN corpus.document_texts AS t ON t.document_id = d.id").
		Where("d.id = ?", id).Scan(ctx, &slice)
	return slice, err
}

// maxValueBytes is the longest value that Postgres stores, in bytes.
const maxValueBytes = 1 << 30

// AtomPage is a page of the atoms of one level of a document.
type AtomPage struct {
	// Path is that of the document.
	Path string
	// Atoms are in order, their content cut.
	Atoms []atom.Atom
	// Total is how many there are in all.
	Total int64
}

// Atoms returns atoms of one level of a document: those after the first offset,
// at most limit of them, their content cut to maxRunes characters; ErrNotFound
// when there is no such document.
func (s *Store) Atoms(ctx context.Context, id uuid.UUID, level atom.Level, offset, limit, maxRunes int) (AtomPage, error) {
	var page AtomPage
	err := s.db.Bun.RunInTx(ctx, snapshot(), func(ctx context.Context, tx bun.Tx) error {
		err := tx.NewSelect().TableExpr("corpus.documents").Column("path").Where("id = ?", id).Scan(ctx, &page.Path)
		if err != nil {
			return err
		}
		counts, err := levelCounts(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, c := range counts {
			if c.Level == level {
				page.Total = c.Count
			}
		}
		page.Atoms, err = atoms(ctx, tx, id, level, offset, limit, maxRunes)
		return err
	})
	if err != nil {
		return AtomPage{}, wrap(err, "read the atoms of document", id)
	}
	return page, nil
}

func atoms(ctx context.Context, db bun.IDB, id uuid.UUID, level atom.Level, offset, limit, maxRunes int) ([]atom.Atom, error) {
	var rows []struct {
		Ordinal    int    `bun:"ordinal"`
		Occurrence int    `bun:"occurrence"`
		Content    string `bun:"content"`
	}
	err := db.NewSelect().TableExpr("corpus.atom_runs AS r").
		Join("CROSS JOIN unnest(r.contents, r.occurrences) WITH ORDINALITY AS a (content, occurrence, place)").
		ColumnExpr("r.first_ordinal + a.place - 1 AS ordinal, a.occurrence").
		ColumnExpr("left(a.content, ?) AS content", maxRunes).
		Where("r.document_id = ? AND r.level = ?", id, levelNumber(level)).
		// No run is longer than maxRunAtoms, so these are the ones the page is in.
		Where("r.first_ordinal BETWEEN ? AND ?", offset-maxRunAtoms, offset+limit).
		Where("r.first_ordinal + a.place - 1 BETWEEN ? AND ?", offset+1, offset+limit).
		OrderExpr("ordinal").Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	list := make([]atom.Atom, len(rows))
	for i, row := range rows {
		list[i] = atom.Atom{Level: level, Ordinal: row.Ordinal, Occurrence: row.Occurrence, Content: row.Content}
	}
	return list, nil
}
