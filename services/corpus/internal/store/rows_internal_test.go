package store

import (
	"testing"

	"nexus.internal/libs/testkit"
)

func TestRowsMatchTheSchema(t *testing.T) {
	t.Parallel()
	testkit.RequireRowsMatch(t, testkit.Postgres(t), []any{
		(*documentRow)(nil), (*graphRow)(nil), (*ingestRow)(nil), (*branchRow)(nil), (*branchRootRow)(nil), (*checkpointRow)(nil),
		(*decisionRow)(nil), (*remixRow)(nil),
		testkit.Selected{From: "corpus.ingest_files", Row: (*fileRow)(nil)},
		testkit.Selected{From: "corpus.documents", Row: (*DocumentNode)(nil)},
		testkit.Selected{From: "corpus.document_siblings", Row: (*Relative)(nil)},
	},
		// Statements write these, and count or join them; no row of them is read.
		"corpus.document_texts", "corpus.document_nodes", "corpus.atom_runs", "corpus.contains_edges", "corpus.outbox",
		"corpus.documents.stem", "corpus.ingest_jobs.job_id", "corpus.ingest_files.ingest_job_id", "corpus.ingest_files.path_id",
		"corpus.ingest_files.position", "corpus.ingest_files.checksum", "corpus.ingest_files.atoms_created",
	)
}
