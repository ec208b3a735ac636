package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
)

// ErrNotFound means that there is no such analysis run.
var ErrNotFound = errors.New("analysis run not found")

// Store reads and writes analysis runs. It may be used from several goroutines.
type Store struct {
	db *pg.DB
}

// New makes a store over a database that holds the schema plugins.
func New(db *pg.DB) *Store { return &Store{db: db} }

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Save keeps a run with its outputs, all or nothing. A run that is there already
// stays as it is: the first one to be saved is the one that counts. CreatedAt is
// set by the database.
func (s *Store) Save(ctx context.Context, run contract.AnalysisRun) error {
	row, err := runRowOf(run)
	if err != nil {
		return err
	}
	outputs := outputRowsOf(run)
	if err = s.insert(ctx, row, outputs); pg.IsUniqueViolation(err) {
		// The same run, saved at the same moment, can meet the rule of one run a
		// job before it meets its own id. By now it has one or the other.
		err = s.insert(ctx, row, outputs)
	}
	if err != nil {
		return fmt.Errorf("save analysis run %s: %w", run.AnalysisRunID, err)
	}
	return nil
}

func (s *Store) insert(ctx context.Context, row runRow, outputs []outputRow) error {
	return pg.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		result, err := tx.NewInsert().Model(&row).ExcludeColumn("created_at").On("CONFLICT (id) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		inserted, err := result.RowsAffected()
		if err != nil || inserted == 0 || len(outputs) == 0 {
			return err
		}
		_, err = tx.NewInsert().Model(&outputs).Exec(ctx)
		return err
	})
}

// Run returns a run with its outputs, or ErrNotFound.
func (s *Store) Run(ctx context.Context, id uuid.UUID) (contract.AnalysisRun, error) {
	var row runRow
	err := s.db.Bun.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return contract.AnalysisRun{}, fmt.Errorf("load analysis run %s: %w", id, err)
	}
	run := contract.AnalysisRun{AnalysisRunSummary: row.summary()}
	if err := json.Unmarshal([]byte(row.HypergraphIDs), &run.HypergraphIDs); err != nil {
		return contract.AnalysisRun{}, fmt.Errorf("decode the graph ids of analysis run %s: %w", id, err)
	}
	var outputs []outputRow
	if err := s.db.Bun.NewSelect().Model(&outputs).Where("run_id = ?", id).Order("position").Scan(ctx); err != nil {
		return contract.AnalysisRun{}, fmt.Errorf("load the outputs of analysis run %s: %w", id, err)
	}
	run.Layers = make([]string, len(outputs))
	run.LayerOutputs = make([]contract.LayerOutput, len(outputs))
	for i, o := range outputs {
		run.Layers[i] = o.Layer
		run.LayerOutputs[i] = o.output()
	}
	return run, nil
}

// RunOfJob returns the id of the run that a job has left, or ErrNotFound.
func (s *Store) RunOfJob(ctx context.Context, jobID string) (uuid.UUID, error) {
	var id uuid.UUID
	err := s.db.Bun.NewSelect().Model((*runRow)(nil)).Column("id").Where("job_id = ?", jobID).Scan(ctx, &id)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("look up the analysis run of job %s: %w", jobID, err)
	}
	return id, nil
}

// Page selects runs, newest first.
type Page struct {
	// DocumentID, when set, selects the runs of one document.
	DocumentID    *uuid.UUID
	Limit, Offset int
}

// Runs returns a page of runs.
func (s *Store) Runs(ctx context.Context, page Page) ([]contract.AnalysisRunSummary, error) {
	var rows []runRow
	query := s.db.Bun.NewSelect().Model(&rows).ExcludeColumn("hypergraph_ids").
		ColumnExpr(`ARRAY(SELECT o.layer FROM plugins.layer_outputs AS o WHERE o.run_id = r.id ORDER BY o.position) AS layers`).
		OrderExpr("r.created_at DESC, r.id DESC").Limit(int64(page.Limit)).Offset(int64(page.Offset))
	if page.DocumentID != nil {
		query = query.Where("r.document_id = ?", *page.DocumentID)
	}
	if err := query.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list analysis runs: %w", err)
	}
	runs := make([]contract.AnalysisRunSummary, len(rows))
	for i, row := range rows {
		runs[i] = row.summary()
		runs[i].Layers = append([]string{}, row.Layers...)
	}
	return runs, nil
}
