-- What admins did with dead letters. The letters themselves never change.
CREATE TABLE audit.dead_letter_marks (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter_id  bigint NOT NULL,
    what       text NOT NULL CHECK (what IN ('replayed', 'discarded')),
    marked_at  timestamptz NOT NULL DEFAULT transaction_timestamp(),
    actor      text NOT NULL,
    request_id text NOT NULL
);

CREATE INDEX dead_letter_marks_letter ON audit.dead_letter_marks (letter_id);

CREATE TRIGGER dead_letter_marks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.dead_letter_marks
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.dead_letter_marks ENABLE ALWAYS TRIGGER dead_letter_marks_append_only;
