-- One row for each event, and only ever added. There are no more indexes than
-- the two that are needed: every further one is paid for by every event. Event
-- ids compare as bytes, and those of job events grow with time.
CREATE TABLE audit.audit_logs (
    id          bigint GENERATED ALWAYS AS IDENTITY (CACHE 100),
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    event_id    text COLLATE "C" PRIMARY KEY,
    action      text NOT NULL,
    actor       text NOT NULL,
    source      text NOT NULL,
    request_id  text NOT NULL,
    trace_id    bytea CHECK (octet_length(trace_id) = 16),
    -- json, not jsonb: the text stays as it was published, to the byte.
    details     json NOT NULL
);

CREATE INDEX audit_logs_newest ON audit.audit_logs (occurred_at DESC, id DESC);

COMMENT ON COLUMN audit.audit_logs.id IS 'tells entries apart and orders those of one instant; it has gaps';
COMMENT ON COLUMN audit.audit_logs.details IS 'the data of the event';

-- Messages that somebody could not handle. A stream that is made anew counts
-- from 1 again, so the place in it is unique only together with the time.
CREATE TABLE audit.dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL,
    stream      text NOT NULL,
    sequence    bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    subject     text NOT NULL,
    origin      text NOT NULL,
    reason      text NOT NULL,
    headers     jsonb NOT NULL,
    body        bytea NOT NULL,
    body_size   bigint NOT NULL CHECK (body_size >= octet_length(body)),

    CONSTRAINT dead_letters_once UNIQUE (received_at, stream, sequence)
);

COMMENT ON COLUMN audit.dead_letters.received_at IS 'when the stream took the message';
COMMENT ON COLUMN audit.dead_letters.origin IS 'the subject the message was first published to, where known';
COMMENT ON COLUMN audit.dead_letters.body_size IS 'bytes of the whole body, of which body may hold the beginning only';

-- The role of the service may not change or remove rows either; this holds for
-- everybody else as well, and for replication.
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER dead_letters_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.audit_logs ENABLE ALWAYS TRIGGER audit_logs_append_only;
ALTER TABLE audit.dead_letters ENABLE ALWAYS TRIGGER dead_letters_append_only;
