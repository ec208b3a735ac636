-- compatible back to 0002
--
-- The database has named the constraint itself.
DO $$
DECLARE
    name text;
BEGIN
    SELECT conname INTO STRICT name FROM pg_constraint
    WHERE conrelid = 'auth.api_keys'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%role%';
    EXECUTE format('ALTER TABLE auth.api_keys DROP CONSTRAINT %I', name);
END $$;

ALTER TABLE auth.api_keys ADD CONSTRAINT known_role CHECK (role IN ('viewer', 'operator', 'researcher', 'admin', 'plugin'));
