-- Entries are chained in segments: all that one transaction adds. The hash of a
-- segment covers its entries and the segment before.
ALTER TABLE audit.audit_logs ADD COLUMN segment bigint, ADD COLUMN position integer;

COMMENT ON COLUMN audit.audit_logs.segment IS 'NULL for entries from before there was a chain';
COMMENT ON COLUMN audit.audit_logs.position IS 'the place in the segment; it has gaps';

CREATE TABLE audit.segments (
    number      bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    entries     integer NOT NULL CHECK (entries >= 0),
    previous    bytea NOT NULL CHECK (octet_length(previous) = 32),
    hash        bytea NOT NULL CHECK (octet_length(hash) = 32)
);

CREATE INDEX segments_recorded ON audit.segments (recorded_at);
-- Entries lie in the order of their segments, so ranges of blocks are enough to
-- find one, and cost next to nothing to keep.
CREATE INDEX audit_logs_segment ON audit.audit_logs USING brin (segment) WITH (pages_per_range = 32);
-- What people look for. Events of jobs are nearly all there is; they are left
-- out, and cost nothing.
CREATE INDEX audit_logs_rare ON audit.audit_logs (action, occurred_at DESC, id DESC)
    WHERE action NOT IN ('job_queued', 'job_running', 'job_succeeded');

-- Segment 0 says how many entries there were before the chain.
INSERT INTO audit.segments (number, recorded_at, entries, previous, hash)
SELECT 0, transaction_timestamp(), count(*), decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex') FROM audit.audit_logs;

CREATE TRIGGER segments_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.segments
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.segments ENABLE ALWAYS TRIGGER segments_append_only;
