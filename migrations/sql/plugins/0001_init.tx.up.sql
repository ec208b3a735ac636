-- An analysis run is what one analyze job found out. Its id follows from the
-- job's, so that a job that is run again cannot leave two.
CREATE TABLE plugins.analysis_runs (
    id              uuid        PRIMARY KEY,
    job_id          uuid        NOT NULL UNIQUE,
    document_id     uuid,
    branch_id       uuid,
    source_checksum text        NOT NULL CHECK (source_checksum ~ '^[0-9a-f]{64}$'),
    modality        text        NOT NULL CHECK (modality IN ('text', 'pdf', 'image', 'audio', 'binary')),
    mode            text        NOT NULL CHECK (mode IN ('PUBLIC', 'RAW')),
    plugin_profile  text        NOT NULL CHECK (plugin_profile <> ''),
    hypergraph_ids  json        NOT NULL CHECK (json_typeof(hypergraph_ids) = 'object'),
    created_by      text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT a_run_has_one_source CHECK (num_nonnulls(document_id, branch_id) = 1)
);

CREATE INDEX analysis_runs_newest_first ON plugins.analysis_runs (created_at DESC, id DESC);
CREATE INDEX analysis_runs_by_document ON plugins.analysis_runs (document_id, created_at DESC, id DESC);

-- Outputs are kept as text that is JSON: nothing searches inside them, and jsonb
-- would change what a plugin said.
CREATE TABLE plugins.layer_outputs (
    run_id           uuid             NOT NULL REFERENCES plugins.analysis_runs (id) ON DELETE CASCADE,
    position         smallint         NOT NULL CHECK (position >= 0),
    layer            text             NOT NULL CHECK (layer IN ('token', 'morphology', 'syntax', 'semantics', 'pragmatics',
                                                                'discourse', 'sociolinguistics', 'rhetoric', 'semiotic')),
    provider         text             NOT NULL CHECK (provider <> ''),
    provider_version text             NOT NULL,
    runtime_ms       bigint           NOT NULL CHECK (runtime_ms >= 0),
    fallback_reason  text             CHECK (fallback_reason <> ''),
    confidence       double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    output           json             NOT NULL CHECK (json_typeof(output) = 'object'),
    PRIMARY KEY (run_id, layer),
    UNIQUE (run_id, position)
);
