DROP TABLE audit.segments;
DROP INDEX audit.audit_logs_rare;
DROP INDEX audit.audit_logs_segment;
ALTER TABLE audit.audit_logs DROP COLUMN position, DROP COLUMN segment;
