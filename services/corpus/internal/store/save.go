package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
)

// SaveDocument records a document, its text and its graph, and what became of
// its file in the ingest, all in one transaction. A document that has not
// changed (document.Unchanged) is left alone, and a file that the ingest has
// recorded before is not looked at again, so a repeated save changes nothing.
// Saves of the same document wait for each other. It returns what became of the
// file; empty when that had been recorded before.
func (s *Store) SaveDocument(ctx context.Context, file FileRef, next document.Document, force bool) (contract.FileStatus, error) {
	var became contract.FileStatus
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		current, recorded, err := lockDocument(ctx, tx, file, next.ID)
		if err != nil || recorded {
			return err
		}
		record := FileRecord{FileRef: file, Status: next.Status, DocumentID: next.ID, Checksum: next.Checksum, Warning: next.Warning}
		switch {
		case !force && document.Unchanged(current, next):
			record.Status = contract.FileUnchanged
		default:
			if record.AtomsCreated, err = replaceDocument(ctx, tx, next); err != nil {
				return err
			}
			record.Reason = next.Reason()
		}
		became = record.Status
		return insertFile(ctx, tx, record)
	})
	if err != nil {
		return "", fmt.Errorf("save document %s: %w", next.ID, err)
	}
	return became, nil
}

// lockDocument makes other saves of the document wait until the transaction
// ends, also when there is no such document yet. It returns what is known of
// the document, and whether the ingest has recorded the file before.
func lockDocument(ctx context.Context, tx *pg.Tx, file FileRef, id uuid.UUID) (document.Version, bool, error) {
	var current document.Version
	var recorded bool
	batch := &pgx.Batch{}
	batch.Queue("SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(id[:8])))
	batch.Queue("SELECT EXISTS (SELECT FROM corpus.ingest_files WHERE ingest_job_id = $1 AND path_id = $2)",
		file.IngestJobID, document.IDOf(file.Path),
	).QueryRow(func(row pgx.Row) error { return row.Scan(&recorded) })
	batch.Queue("SELECT checksum, ingest_status FROM corpus.documents WHERE id = $1", id).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&current.Checksum, &current.Status)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return current, false, fmt.Errorf("lock it: %w", err)
	}
	return current, recorded, nil
}

// replaceDocument writes a document in place of whatever was there, and returns
// the number of its atoms.
func replaceDocument(ctx context.Context, tx *pg.Tx, d document.Document) (int64, error) {
	if err := upsertDocument(ctx, tx, d); err != nil {
		return 0, err
	}
	if !d.Ingested() {
		return 0, nil
	}
	counts, err := copyAtoms(ctx, tx, d)
	if err != nil {
		return 0, err
	}
	return insertGraph(ctx, tx, d, counts)
}

func upsertDocument(ctx context.Context, tx *pg.Tx, d document.Document) error {
	segments := []byte("{}")
	if d.Ingested() && d.Segments != nil {
		var err error
		if segments, err = json.Marshal(d.Segments); err != nil {
			return fmt.Errorf("encode the segments: %w", err)
		}
	}
	batch := &pgx.Batch{}
	for _, table := range [...]string{"atom_runs", "contains_edges", "document_nodes", "document_texts"} {
		batch.Queue("DELETE FROM corpus."+table+" WHERE document_id = $1", d.ID)
	}
	batch.Queue(`
		INSERT INTO corpus.documents (id, path, stem, title, modality, ingest_status, checksum, byte_size,
			text_bytes, atom_tracks, atom_levels, segments)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (id) DO UPDATE SET
			title = excluded.title, ingest_status = excluded.ingest_status, checksum = excluded.checksum,
			byte_size = excluded.byte_size, text_bytes = excluded.text_bytes, atom_count = 0,
			atom_tracks = excluded.atom_tracks, atom_levels = excluded.atom_levels, segments = excluded.segments,
			updated_at = clock_timestamp()`,
		d.ID, d.Path, d.Stem, d.Title, d.Modality, d.Status, d.Checksum, d.Bytes,
		len(d.Text), names(d.Selection.Tracks), names(d.Selection.Levels), segments)
	if d.Text != "" {
		batch.Queue("INSERT INTO corpus.document_texts (document_id, content) VALUES ($1, $2)", d.ID, []byte(d.Text))
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write it: %w", err)
	}
	return nil
}

// copyAtoms streams the atoms of a document to Postgres as they are made, so
// that they are never in memory together. It returns how many there are of each
// level.
func copyAtoms(ctx context.Context, tx *pg.Tx, d document.Document) (map[atom.Level]int, error) {
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("nexus.internal/services/corpus/store").Start(ctx, "atomise text")
	defer span.End()
	counts := map[atom.Level]int{}
	next, stop := iter.Pull(runsOf(atom.Atomize(d.Text, d.Selection.Levels)))
	defer stop()
	rows := pgx.CopyFromFunc(func() ([]any, error) {
		r, more := next()
		if !more {
			return nil, nil
		}
		counts[r.level] += len(r.contents)
		return []any{d.ID, levelNumber(r.level), int32(r.first), r.contents, r.occurrences}, nil
	})
	columns := []string{"document_id", "level", "first_ordinal", "contents", "occurrences"}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"corpus", "atom_runs"}, columns, rows); err != nil {
		return nil, fmt.Errorf("copy its atoms: %w", err)
	}
	return counts, nil
}

// Limits of a run of atoms: their number, as the schema has it, and the size of
// their contents in bytes.
const (
	maxRunAtoms = 1000
	maxRunBytes = 256 << 10
)

// atomRun is a row of atoms of one level that follow each other.
type atomRun struct {
	level       atom.Level
	first       int
	bytes       int
	contents    []string
	occurrences []int32
}

// runsOf gathers atoms into runs.
func runsOf(atoms iter.Seq[atom.Atom]) iter.Seq[atomRun] {
	return func(yield func(atomRun) bool) {
		var run atomRun
		for a := range atoms {
			full := len(run.contents) == maxRunAtoms || run.bytes >= maxRunBytes || run.level != a.Level
			if full {
				if len(run.contents) > 0 && !yield(run) {
					return
				}
				run = atomRun{level: a.Level, first: a.Ordinal}
			}
			run.bytes += len(a.Content)
			run.contents = append(run.contents, a.Content)
			run.occurrences = append(run.occurrences, int32(a.Occurrence))
		}
		if len(run.contents) > 0 {
			yield(run)
		}
	}
}

// insertGraph writes what else belongs to the graph, and the number of atoms.
func insertGraph(ctx context.Context, tx *pg.Tx, d document.Document, counts map[atom.Level]int) (int64, error) {
	var total int64
	batch := &pgx.Batch{}
	batch.Queue("INSERT INTO corpus.document_nodes (id, document_id) VALUES ($1, $2)", document.NodeID(d.ID), d.ID)
	for level, count := range counts {
		total += int64(count)
		batch.Queue("INSERT INTO corpus.contains_edges (document_id, level, first_ordinal, last_ordinal) VALUES ($1, $2, 1, $3)",
			d.ID, levelNumber(level), count)
	}
	batch.Queue("UPDATE corpus.documents SET atom_count = $2 WHERE id = $1", d.ID, total)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return 0, fmt.Errorf("write its graph: %w", err)
	}
	return total, nil
}

func names[S ~string](values []S) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}
