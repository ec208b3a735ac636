-- A document is one file of the corpus. Its id follows from its path, so the
-- primary key also keeps paths unique (an index on paths themselves would refuse
-- the longest ones).
CREATE TABLE corpus.documents (
    id            uuid        PRIMARY KEY,
    path          text        NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 4096),
    stem          text        NOT NULL,
    title         text        NOT NULL,
    modality      text        NOT NULL CHECK (modality IN ('text', 'pdf', 'image', 'audio', 'binary')),
    ingest_status text        NOT NULL CHECK (ingest_status IN ('ingested', 'conflict', 'skipped')),
    checksum      text        NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    byte_size     bigint      NOT NULL CHECK (byte_size >= 0),
    text_bytes    bigint      NOT NULL DEFAULT 0 CHECK (text_bytes >= 0),
    atom_count    bigint      NOT NULL DEFAULT 0 CHECK (atom_count >= 0),
    atom_tracks   text[]      NOT NULL DEFAULT '{}',
    atom_levels   text[]      NOT NULL DEFAULT '{}',
    segments      jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(segments) = 'object'),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT only_ingested_documents_have_content
        CHECK (ingest_status = 'ingested' OR (text_bytes = 0 AND atom_count = 0))
);

CREATE INDEX documents_newest_first ON corpus.documents (created_at DESC, id DESC);
CREATE INDEX documents_by_stem ON corpus.documents (stem);

-- Siblings are documents with the same stem, both ways. They are derived, not
-- stored: a pair is there exactly as long as both documents are.
CREATE VIEW corpus.document_siblings AS
SELECT d.id                     AS document_id,
       s.id                     AS related_document_id,
       s.modality               AS related_modality,
       'sibling::' || d.stem    AS variant_group
FROM corpus.documents d
JOIN corpus.documents s ON s.stem = d.stem AND s.id <> d.id;

-- Extracted text is read in slices. Uncompressed storage lets Postgres fetch a
-- slice without the rest.
CREATE TABLE corpus.document_texts (
    document_id uuid  PRIMARY KEY REFERENCES corpus.documents (id) ON DELETE CASCADE,
    content     bytea NOT NULL
);
ALTER TABLE corpus.document_texts ALTER COLUMN content SET STORAGE EXTERNAL;

-- The graph of an ingested document: a node of its own, a node for each atom, and
-- CONTAINS edges. Ids of atoms follow from document, level and ordinal.
CREATE TABLE corpus.document_nodes (
    id          uuid PRIMARY KEY,
    document_id uuid NOT NULL UNIQUE REFERENCES corpus.documents (id) ON DELETE CASCADE
);

-- A text of some megabytes has millions of atoms, most of them a few bytes long.
-- One row holds a run of atoms of one level that follow each other, which takes a
-- tenth of the time that a row for each of them does.
CREATE TABLE corpus.atom_runs (
    document_id   uuid     NOT NULL REFERENCES corpus.documents (id) ON DELETE CASCADE,
    level         smallint NOT NULL CHECK (level BETWEEN 1 AND 5),
    first_ordinal integer  NOT NULL CHECK (first_ordinal > 0),
    contents      text[]   NOT NULL CHECK (cardinality(contents) BETWEEN 1 AND 1000),
    occurrences   integer[] NOT NULL,
    PRIMARY KEY (document_id, level, first_ordinal),
    CHECK (cardinality(occurrences) = cardinality(contents))
);

CREATE VIEW corpus.atoms AS
SELECT r.document_id,
       r.level,
       (r.first_ordinal + a.place - 1)::integer AS ordinal,
       a.occurrence,
       a.content
FROM corpus.atom_runs r,
     unnest(r.contents, r.occurrences) WITH ORDINALITY AS a (content, occurrence, place);

-- One row holds the edges from a document to a run of atoms of one level.
CREATE TABLE corpus.contains_edges (
    document_id   uuid     NOT NULL REFERENCES corpus.documents (id) ON DELETE CASCADE,
    level         smallint NOT NULL CHECK (level BETWEEN 1 AND 5),
    first_ordinal integer  NOT NULL CHECK (first_ordinal > 0),
    last_ordinal  integer  NOT NULL,
    PRIMARY KEY (document_id, level, first_ordinal),
    CHECK (last_ordinal >= first_ordinal)
);

-- An ingest is what one ingest_batch job does; its id follows from the job's.
CREATE TABLE corpus.ingest_jobs (
    id                uuid        PRIMARY KEY,
    job_id            text        NOT NULL,
    status            text        NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
    ingest_scope      text        NOT NULL CHECK (ingest_scope IN ('full', 'partial')),
    provenance_digest text        NOT NULL DEFAULT '' CHECK (provenance_digest = '' OR provenance_digest ~ '^[0-9a-f]{64}$'),
    notes             text[]      NOT NULL DEFAULT '{}',
    error_text        text,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT only_failed_ingests_have_an_error CHECK ((status = 'failed') = (error_text IS NOT NULL))
);

-- What became of one file of an ingest, written once. path_id follows from the
-- path as a document's id does, and is there for files without a document too.
CREATE TABLE corpus.ingest_files (
    ingest_job_id uuid    NOT NULL REFERENCES corpus.ingest_jobs (id) ON DELETE CASCADE,
    path_id       uuid    NOT NULL,
    position      integer NOT NULL CHECK (position >= 0),
    path          text    NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 4096),
    status        text    NOT NULL CHECK (status IN ('ingested', 'unchanged', 'conflict', 'skipped', 'error')),
    document_id   uuid    REFERENCES corpus.documents (id) ON DELETE SET NULL,
    checksum      text    CHECK (checksum ~ '^[0-9a-f]{64}$'),
    atoms_created bigint  NOT NULL DEFAULT 0 CHECK (atoms_created >= 0),
    error         text,
    PRIMARY KEY (ingest_job_id, path_id),
    CONSTRAINT whatever_is_not_ingested_has_a_reason CHECK ((status IN ('ingested', 'unchanged')) = (error IS NULL)),
    CONSTRAINT only_ingested_files_make_atoms CHECK (status = 'ingested' OR atoms_created = 0)
);

CREATE INDEX ingest_files_in_order ON corpus.ingest_files (ingest_job_id, position, path_id);
CREATE INDEX ingest_files_by_document ON corpus.ingest_files (document_id);
