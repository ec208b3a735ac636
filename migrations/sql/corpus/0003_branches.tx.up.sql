-- compatible back to 0001
--
-- The text that a document had when a branch began at it. Branches live on when
-- the document is ingested again, so each version is kept as long as there are
-- branches of it.
CREATE TABLE corpus.branch_roots (
    document_id uuid  NOT NULL,
    checksum    text  NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    content     bytea NOT NULL,
    PRIMARY KEY (document_id, checksum)
);
ALTER TABLE corpus.branch_roots ALTER COLUMN content SET STORAGE EXTERNAL;

-- A branch is one event on top of its parent, or of its root document. Rows are
-- written once and never changed.
CREATE TABLE corpus.branches (
    id               uuid        PRIMARY KEY,
    parent_branch_id uuid        REFERENCES corpus.branches (id),
    root_document_id uuid        NOT NULL,
    root_checksum    text        NOT NULL,
    mode             text        NOT NULL CHECK (mode IN ('PUBLIC', 'RAW')),
    event_index      integer     NOT NULL CHECK (event_index BETWEEN 1 AND 10000),
    event_id         uuid        NOT NULL UNIQUE,
    event_type       text        NOT NULL CHECK (event_type IN ('natural_drift', 'reverse_drift', 'synthetic_mutation', 'phase_shift', 'glyph_fusion', 'remix', 'merge')),
    event_payload    jsonb       NOT NULL CHECK (jsonb_typeof(event_payload) = 'object'),
    diff_summary     jsonb       NOT NULL CHECK (jsonb_typeof(diff_summary) = 'object'),
    -- The other parent of a merge, and the ancestor that both share.
    merged_branch_id uuid        REFERENCES corpus.branches (id),
    lca_branch_id    uuid        REFERENCES corpus.branches (id),
    text_hash        text        NOT NULL CHECK (text_hash ~ '^[0-9a-f]{64}$'),
    created_by       text        NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (root_document_id, root_checksum) REFERENCES corpus.branch_roots (document_id, checksum),
    CONSTRAINT the_first_event_has_no_parent CHECK ((parent_branch_id IS NULL) = (event_index = 1)),
    CONSTRAINT only_merges_have_two_parents CHECK ((event_type = 'merge') = (merged_branch_id IS NOT NULL))
);

CREATE INDEX branches_newest_first ON corpus.branches (created_at DESC, id DESC);

-- Texts of branches, so that a replay need not begin at the root: of every tenth
-- event, and of every event that takes a text from elsewhere.
CREATE TABLE corpus.branch_checkpoints (
    branch_id uuid  PRIMARY KEY REFERENCES corpus.branches (id),
    content   bytea NOT NULL
);
ALTER TABLE corpus.branch_checkpoints ALTER COLUMN content SET STORAGE EXTERNAL;

-- What the policy said of texts. The texts themselves are not kept.
CREATE TABLE corpus.policy_decisions (
    id             uuid        PRIMARY KEY,
    audit_id       uuid        NOT NULL UNIQUE,
    mode           text        NOT NULL CHECK (mode IN ('PUBLIC', 'RAW')),
    allow          boolean     NOT NULL,
    policy_hits    text[]      NOT NULL,
    redactions     text[]      NOT NULL,
    decision_trace jsonb       NOT NULL CHECK (jsonb_typeof(decision_trace) = 'object'),
    created_by     text        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX policy_decisions_newest_first ON corpus.policy_decisions (created_at DESC, id DESC);

CREATE TABLE corpus.remixes (
    id                     uuid        PRIMARY KEY,
    strategy               text        NOT NULL CHECK (strategy IN ('interleave', 'thematic_blend', 'temporal_layer', 'glyph_collide')),
    seed                   bigint      NOT NULL,
    mode                   text        NOT NULL CHECK (mode IN ('PUBLIC', 'RAW')),
    text_hash              text        NOT NULL CHECK (text_hash ~ '^[0-9a-f]{64}$'),
    payload_hash           text        NOT NULL CHECK (payload_hash ~ '^[0-9a-f]{64}$'),
    content                bytea       NOT NULL,
    source_document_id     uuid,
    source_branch_id       uuid        REFERENCES corpus.branches (id),
    target_document_id     uuid,
    target_branch_id       uuid        REFERENCES corpus.branches (id),
    new_branch_id          uuid        REFERENCES corpus.branches (id),
    governance_decision_id uuid        REFERENCES corpus.policy_decisions (id),
    atom_levels            text[]      NOT NULL,
    source_links           jsonb       NOT NULL CHECK (jsonb_typeof(source_links) = 'array'),
    created_by             text        NOT NULL,
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT one_source CHECK (num_nonnulls(source_document_id, source_branch_id) = 1),
    CONSTRAINT one_target CHECK (num_nonnulls(target_document_id, target_branch_id) = 1)
);
ALTER TABLE corpus.remixes ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE INDEX remixes_newest_first ON corpus.remixes (created_at DESC, id DESC);

CREATE TABLE corpus.outbox (
    id         uuid PRIMARY KEY,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
