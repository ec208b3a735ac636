package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/jsonsize"
)

// Ingest is what one ingest_batch job does.
type Ingest struct {
	ID    uuid.UUID
	JobID string
	Scope contract.IngestScope
	// Notes are warnings about the ingest as a whole.
	Notes []string
}

// FileRef is the place of a file in an ingest.
type FileRef struct {
	IngestJobID uuid.UUID
	// Position orders the files of an ingest, from 0.
	Position int
	Path     string
}

// FileRecord is what became of a file of an ingest.
type FileRecord struct {
	FileRef
	Status contract.FileStatus
	// DocumentID is uuid.Nil, and Checksum empty, where no document was recorded.
	DocumentID   uuid.UUID
	Checksum     string
	AtomsCreated int64
	// Reason says why the file was not ingested; empty when it was.
	Reason string
	// Warning says what is odd about an ingested file; empty for nothing.
	Warning string
}

// BeginIngest records that an ingest is running. One that was begun before goes
// on; one that is completed stays so.
func (s *Store) BeginIngest(ctx context.Context, in Ingest) error {
	notes := in.Notes
	if notes == nil {
		notes = []string{}
	}
	_, err := s.db.Pool.Exec(ctx, `
		INSERT INTO corpus.ingest_jobs AS j (id, job_id, status, ingest_scope, notes) VALUES ($1, $2, 'running', $3, $4)
		ON CONFLICT (id) DO UPDATE SET status = 'running', error_text = NULL, notes = excluded.notes,
			updated_at = clock_timestamp()
		WHERE j.status <> 'completed'`, in.ID, in.JobID, in.Scope, notes)
	if err != nil {
		return wrap(err, "begin ingest", in.ID)
	}
	return nil
}

// RecordedFiles returns the paths whose fate an ingest has recorded.
func (s *Store) RecordedFiles(ctx context.Context, id uuid.UUID) (map[string]bool, error) {
	var paths []string
	err := s.db.Bun.NewSelect().TableExpr("corpus.ingest_files").Column("path").
		Where("ingest_job_id = ?", id).Scan(ctx, &paths)
	if err != nil {
		return nil, wrap(err, "read the files of ingest", id)
	}
	recorded := make(map[string]bool, len(paths))
	for _, path := range paths {
		recorded[path] = true
	}
	return recorded, nil
}

// RecordFile records what became of a file that makes no document. Recorded
// twice, the first record stays.
func (s *Store) RecordFile(ctx context.Context, record FileRecord) error {
	if err := insertFile(ctx, s.db.Pool, record); err != nil {
		return wrap(err, "record a file of ingest", record.IngestJobID)
	}
	return nil
}

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func insertFile(ctx context.Context, db execer, r FileRecord) error {
	_, err := db.Exec(ctx, `
		INSERT INTO corpus.ingest_files (ingest_job_id, path_id, position, path, status, document_id, checksum, atoms_created, error, warning)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (ingest_job_id, path_id) DO NOTHING`,
		r.IngestJobID, document.IDOf(r.Path), r.Position, r.Path, r.Status,
		uuid.NullUUID{UUID: r.DocumentID, Valid: r.DocumentID != uuid.Nil},
		nullable(r.Checksum), r.AtomsCreated, nullable(r.Reason), nullable(r.Warning))
	if err != nil {
		return fmt.Errorf("record file %q: %w", r.Path, err)
	}
	return nil
}

// CompleteIngest ends an ingest whose files are all recorded.
func (s *Store) CompleteIngest(ctx context.Context, id uuid.UUID) error {
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT checksum FROM corpus.ingest_files
			WHERE ingest_job_id = $1 AND status IN ('ingested', 'unchanged')`, id)
		if err != nil {
			return err
		}
		checksums, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE corpus.ingest_jobs
			SET status = 'completed', error_text = NULL, provenance_digest = $2, updated_at = clock_timestamp()
			WHERE id = $1`, id, document.ProvenanceDigest(checksums))
		return err
	})
	if err != nil {
		return wrap(err, "complete ingest", id)
	}
	return nil
}

// FailIngest records why an ingest stopped. A completed one is left alone.
func (s *Store) FailIngest(ctx context.Context, id uuid.UUID, reason string) error {
	_, err := s.db.Pool.Exec(ctx, `
		UPDATE corpus.ingest_jobs SET status = 'failed', error_text = $2, updated_at = clock_timestamp()
		WHERE id = $1 AND status <> 'completed'`, id, reason)
	if err != nil {
		return wrap(err, "fail ingest", id)
	}
	return nil
}

type ingestRow struct {
	bun.BaseModel `bun:"table:corpus.ingest_jobs,alias:j"`

	ID         uuid.UUID      `bun:"id,pk"`
	Status     string         `bun:"status"`
	Scope      string         `bun:"ingest_scope"`
	Digest     string         `bun:"provenance_digest"`
	Notes      []string       `bun:"notes,array"`
	ErrorText  sql.NullString `bun:"error_text"`
	CreatedAt  time.Time      `bun:"created_at"`
	UpdatedAt  time.Time      `bun:"updated_at"`
	Ingested   int            `bun:"ingested,scanonly"`
	Unchanged  int            `bun:"unchanged,scanonly"`
	Atoms      int64          `bun:"atoms,scanonly"`
	FilesTotal int            `bun:"files_total,scanonly"`
}

// Ingest returns an ingest without its files; ErrNotFound when there is none.
func (s *Store) Ingest(ctx context.Context, id uuid.UUID) (contract.IngestJob, error) {
	var job contract.IngestJob
	// One snapshot, so that counts, notes and status fit together.
	err := s.db.Bun.RunInTx(ctx, snapshot(), func(ctx context.Context, tx bun.Tx) error {
		var row ingestRow
		err := tx.NewSelect().Model(&row).
			ColumnExpr("j.id, j.status, j.ingest_scope, j.provenance_digest, j.notes, j.error_text, j.created_at, j.updated_at").
			ColumnExpr("count(*) FILTER (WHERE f.status = 'ingested') AS ingested").
			ColumnExpr("count(*) FILTER (WHERE f.status = 'unchanged') AS unchanged").
			ColumnExpr("coalesce(sum(f.atoms_created), 0) AS atoms").
			ColumnExpr("count(f.path_id) AS files_total").
			Join("LEFT JOIN corpus.ingest_files AS f ON f.ingest_job_id = j.id").
			Where("j.id = ?", id).Group("j.id").Scan(ctx)
		if err != nil {
			return err
		}
		warnings, err := notesOn(ctx, tx, id, "((status IN ('conflict', 'skipped') AND document_id IS NOT NULL) OR warning IS NOT NULL)")
		if err != nil {
			return err
		}
		problems, err := notesOn(ctx, tx, id, "status = 'error'")
		if err != nil {
			return err
		}
		job = ingestOf(row, warnings, problems)
		return nil
	})
	if err != nil {
		return contract.IngestJob{}, wrap(err, "load ingest", id)
	}
	return job, nil
}

func ingestOf(row ingestRow, warnings, problems notes) contract.IngestJob {
	warnings = warnings.after(row.Notes)
	if row.ErrorText.Valid {
		problems = problems.after([]string{row.ErrorText.String})
	}
	status := contract.IngestJobStatus(row.Status)
	if status == contract.IngestCompleted && problems.total > 0 {
		status = contract.IngestCompletedWithErrors
	}
	return contract.IngestJob{
		IngestBatchResult: contract.IngestBatchResult{
			IngestJobID:        row.ID.String(),
			DocumentsIngested:  row.Ingested,
			DocumentsUnchanged: row.Unchanged,
			AtomsCreated:       row.Atoms,
			ProvenanceDigest:   row.Digest,
			IngestScope:        contract.IngestScope(row.Scope),
			Warnings:           warnings.list(),
			Status:             status,
			Errors:             problems.list(),
		},
		FilesTotal: row.FilesTotal,
		CreatedAt:  row.CreatedAt.UTC(),
		UpdatedAt:  row.UpdatedAt.UTC(),
	}
}

// notes are sentences about an ingest, of which only the first are kept.
type notes struct {
	first []string
	total int
}

// notesOn returns a sentence for each file of an ingest that a condition picks.
func notesOn(ctx context.Context, tx bun.Tx, id uuid.UUID, condition string) (notes, error) {
	var rows []struct {
		Note  string `bun:"note"`
		Total int    `bun:"total"`
	}
	err := tx.NewSelect().TableExpr("corpus.ingest_files").
		ColumnExpr("path || ': ' || coalesce(error, warning) AS note").ColumnExpr("count(*) OVER () AS total").
		Where("ingest_job_id = ?", id).Where(condition).
		Order("position", "path_id").Limit(contract.MaxIngestNotes).Scan(ctx, &rows)
	if err != nil {
		return notes{}, err
	}
	var n notes
	for _, row := range rows {
		n.first, n.total = append(n.first, row.Note), row.Total
	}
	return n, nil
}

func (n notes) after(before []string) notes {
	return notes{append(append([]string{}, before...), n.first...), n.total + len(before)}
}

// Limits of the notes of one ingest, in bytes of JSON, so that they fit the
// result of a job.
const (
	maxNote  = 2 << 10
	maxNotes = 96 << 10
)

// list returns at most MaxIngestNotes sentences of bounded size; when some were
// left out, the last one counts them.
func (n notes) list() []string {
	out := []string{}
	taken := 0
	for _, note := range n.first {
		note = jsonsize.Cut(note, maxNote, maxNote)
		taken += jsonsize.Of(note)
		if taken > maxNotes || (len(out) == contract.MaxIngestNotes-1 && n.total > contract.MaxIngestNotes) {
			break
		}
		out = append(out, note)
	}
	if left := n.total - len(out); left > 0 {
		out = append(out, fmt.Sprintf("and %d more", left))
	}
	return out
}

type fileRow struct {
	Path       string         `bun:"path"`
	Status     string         `bun:"status"`
	DocumentID uuid.NullUUID  `bun:"document_id"`
	Error      sql.NullString `bun:"error"`
	Warning    sql.NullString `bun:"warning"`
}

// IngestFiles returns files of an ingest in order: at most limit of them,
// beginning after the first offset.
func (s *Store) IngestFiles(ctx context.Context, id uuid.UUID, offset, limit int) ([]contract.IngestFile, error) {
	var rows []fileRow
	err := s.db.Bun.NewSelect().TableExpr("corpus.ingest_files").Column("path", "status", "document_id", "error", "warning").
		Where("ingest_job_id = ?", id).Order("position", "path_id").Offset(int64(offset)).Limit(int64(limit)).Scan(ctx, &rows)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, wrap(err, "read the files of ingest", id)
	}
	files := make([]contract.IngestFile, len(rows))
	for i, row := range rows {
		files[i] = contract.IngestFile{Path: row.Path, Status: contract.FileStatus(row.Status)}
		if row.DocumentID.Valid {
			text := row.DocumentID.UUID.String()
			files[i].DocumentID = &text
		}
		if row.Error.Valid {
			files[i].Error = &row.Error.String
		}
		if row.Warning.Valid {
			files[i].Warning = &row.Warning.String
		}
	}
	return files, nil
}
