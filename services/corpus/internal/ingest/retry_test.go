package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/ingestid"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/media"
)

func TestACompletedJobGivesTheSameResultAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	first, err := b.runAs(t.Context(), "job-1", `{}`)
	require.NoError(t, err)
	before := b.dump()

	b.write("a.md", "Other text.")
	b.write("b.md", "New.")
	second, err := b.runAs(t.Context(), "job-1", `{}`)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, before, b.dump())
}

// TestAnInterruptedJobGoesOn stops a job after each of its writes in turn. Run
// again, it must end in the state of a job that was never stopped.
func TestAnInterruptedJobGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *ingest.Config) { c.Parallel = 1 })
	for i := range 4 {
		b.write(fmt.Sprintf("%d.md", i), fmt.Sprintf("Text number %d.", i))
	}
	b.write("4.png", string(media.PNG(1, 1)))
	b.write("5.md", "\xff")
	want, err := b.runAs(t.Context(), "job", `{}`)
	require.NoError(t, err)
	state := b.dump()

	for stopAfter := range 6 {
		_, err := b.db.Pool.Exec(t.Context(), "TRUNCATE corpus.documents, corpus.ingest_jobs CASCADE")
		require.NoError(t, err)
		b.stopAfterFiles(stopAfter)
		_, err = b.runAs(t.Context(), "job", `{}`)
		require.ErrorContains(t, err, "the power went out")
		job, err := b.store.Ingest(t.Context(), ingestid.Of("job"))
		require.NoError(t, err)
		require.Equal(t, contract.IngestFailed, job.Status)
		require.Contains(t, job.Errors[0], "the power went out")
		require.Equal(t, stopAfter, job.FilesTotal)

		b.stopAfterFiles(-1)
		got, err := b.runAs(t.Context(), "job", `{}`)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, state, b.dump(), "stopped after %d files", stopAfter)
	}
}

// stopAfterFiles makes the database refuse to record more files than count; a
// negative count takes the limit away.
func (b *bench) stopAfterFiles(count int) {
	b.t.Helper()
	for _, statement := range []string{
		"DROP TRIGGER IF EXISTS power ON corpus.ingest_files",
		fmt.Sprintf(`CREATE OR REPLACE FUNCTION corpus.power() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF (SELECT count(*) FROM corpus.ingest_files) >= %d THEN RAISE 'the power went out'; END IF;
			RETURN NEW; END $$`, count),
		"CREATE TRIGGER power BEFORE INSERT ON corpus.ingest_files FOR EACH ROW EXECUTE FUNCTION corpus.power()",
	} {
		_, err := b.db.Pool.Exec(b.t.Context(), statement)
		require.NoError(b.t, err)
	}
	if count < 0 {
		_, err := b.db.Pool.Exec(b.t.Context(), "DROP TRIGGER power ON corpus.ingest_files")
		require.NoError(b.t, err)
	}
}

func TestACancelledJobIsMarkedAndGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	ctx, cancel := context.WithCancelCause(t.Context())
	b.ingester = ingest.New(ingest.Config{CorpusRoot: b.dir, MaxFileBytes: 100, MaxFiles: 10, Parallel: 1}, b.store, b.objects,
		contents(), zerolog.New(cancelOnWrite{cancel}))
	_, err := b.runAs(ctx, "job", `{}`)
	require.ErrorIs(t, err, context.Canceled)
	job, err := b.store.Ingest(t.Context(), ingestid.Of("job"))
	require.NoError(t, err)
	require.Equal(t, contract.IngestFailed, job.Status)

	result, err := b.runAs(t.Context(), "job", `{}`)
	require.NoError(t, err)
	require.Equal(t, 1, result.DocumentsIngested)
}

// cancelOnWrite ends a context when something is logged, which an ingest does
// once it has begun.
type cancelOnWrite struct{ cancel context.CancelCauseFunc }

func (c cancelOnWrite) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("ingesting files")) {
		c.cancel(errors.New("cancelled"))
	}
	return len(line), nil
}

func TestJobsOnTheSameFilesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 6 {
		b.write(fmt.Sprintf("%d.md", i), strings.Repeat(fmt.Sprintf("Text number %d. ", i), 50))
	}
	results := make([]contract.IngestBatchResult, 6)
	errs := make([]error, len(results))
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			// Two runs of each of three jobs, one of which forces.
			payload := `{}`
			if i%3 == 0 {
				payload = `{"parse_options":{"force":true}}`
			}
			results[i], errs[i] = b.runAs(t.Context(), fmt.Sprintf("job-%d", i%3), payload)
		})
	}
	group.Wait()
	for i := range results {
		require.NoError(t, errs[i])
		require.Equal(t, results[i%3], results[i])
		require.Equal(t, 6, results[i].DocumentsIngested+results[i].DocumentsUnchanged)
		require.Equal(t, results[0].ProvenanceDigest, results[i].ProvenanceDigest)
	}
	require.Equal(t, 6, results[0].DocumentsIngested)
	b.requireConsistent()
}

func TestLastWriterOfAChangingFileWinsWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	texts := []string{"short", strings.Repeat("A longer text of many words. ", 200), "x\n=======\n"}
	var group sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		b.write("a.md", texts[i%3])
		group.Go(func() {
			_, errs[i] = b.runAs(t.Context(), fmt.Sprintf("job-%d", i), `{"parse_options":{"force":true}}`)
		})
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	b.requireConsistent()
	d := b.document("a.md")
	if d.Item.Ingested {
		require.Equal(t, document.Checksum(d.TextHead), d.Checksum)
	}
}
