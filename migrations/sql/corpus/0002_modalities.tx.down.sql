ALTER INDEX corpus.documents_in_order RENAME TO documents_newest_first;
ALTER TABLE corpus.ingest_files DROP CONSTRAINT only_ingested_files_have_warnings, DROP COLUMN warning;
