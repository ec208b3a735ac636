DROP TABLE audit.dead_letters;
DROP TABLE audit.audit_logs;
DROP FUNCTION audit.refuse_change();
