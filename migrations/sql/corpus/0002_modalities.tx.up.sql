-- compatible back to 0001
--
-- What is odd about a file that is ingested all the same.
ALTER TABLE corpus.ingest_files
    ADD COLUMN warning text,
    ADD CONSTRAINT only_ingested_files_have_warnings CHECK (warning IS NULL OR status IN ('ingested', 'unchanged'));

-- Titles are the names of files, and lists begin with the oldest document.
UPDATE corpus.documents SET title = regexp_replace(path, '^.*/', '') WHERE title <> regexp_replace(path, '^.*/', '');
ALTER INDEX corpus.documents_newest_first RENAME TO documents_in_order;
