-- The keys of plugins mean nothing to a version that does not know the role.
DELETE FROM auth.api_keys WHERE role = 'plugin';
ALTER TABLE auth.api_keys
    DROP CONSTRAINT known_role,
    ADD CONSTRAINT known_role CHECK (role IN ('viewer', 'operator', 'researcher', 'admin'));
