package testkit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

// rights are the privileges of a role on a table, in the order of the query
// below.
type rights struct{ read, add, change, remove, more bool }

// What each service may do with each table of the database, from the
// catalogue: with its own what it needs, with those of others nothing.
func TestRolesMayDoWhatTheyNeedAndNoMore(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	for _, owner := range migrations.Schemas() {
		tables := tablesOf(t, db, owner)
		require.NotEmpty(t, tables, owner)
		for _, table := range tables {
			for _, schema := range migrations.Schemas() {
				want := rights{}
				switch {
				case schema != owner:
				case table == "schema_migrations", table == "schema_migration_locks", table == "schema_compatibility":
					want = rights{read: true}
				case owner == "audit":
					want = rights{read: true, add: true}
				default:
					want = rights{read: true, add: true, change: true, remove: true}
				}
				require.Equal(t, want, rightsOf(t, db, migrations.Role(schema), owner+"."+table), "%s on %s.%s", migrations.Role(schema), owner, table)
			}
		}
	}
}

// tablesOf lists the tables and views of a schema.
func tablesOf(t *testing.T, db *pg.DB, schema string) []string {
	t.Helper()
	var out []string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT coalesce(array_agg(relname::text), '{}') FROM pg_class
		WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')`, schema).Scan(&out))
	return out
}

func rightsOf(t *testing.T, db *pg.DB, role, table string) rights {
	t.Helper()
	var r rights
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT has_table_privilege($1, $2, 'SELECT'), has_table_privilege($1, $2, 'INSERT'),
		has_table_privilege($1, $2, 'UPDATE'), has_table_privilege($1, $2, 'DELETE'), has_table_privilege($1, $2, 'TRUNCATE, REFERENCES, TRIGGER')`,
		role, table).Scan(&r.read, &r.add, &r.change, &r.remove, &r.more))
	return r
}

func TestRolesAndSchemas(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	for _, service := range migrations.Schemas() {
		role := migrations.Role(service)
		for _, schema := range migrations.Schemas() {
			var use, create bool
			require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT has_schema_privilege($1, $2, 'USAGE'), has_schema_privilege($1, $2, 'CREATE')`, role, schema).Scan(&use, &create))
			require.Equal(t, service == schema, use, "%s uses %s", role, schema)
			require.False(t, create, "%s makes things in %s", role, schema)
		}
		var login, super, createRole, createDB, bypass bool
		var memberships int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls,
			(SELECT count(*) FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = $1`, role).
			Scan(&login, &super, &createRole, &createDB, &bypass, &memberships))
		require.False(t, login || super || createRole || createDB || bypass, "%s has powers of its own", role)
		require.Zero(t, memberships, "%s acts as others", role)
	}
}

// What the catalogue says is also what happens.
func TestRolesAtWork(t *testing.T) {
	t.Parallel()
	databaseURL := testkit.PostgresURL(t)
	const denied = "42501"
	for schema, statements := range map[string][]struct{ statement, code string }{
		"auth": {
			{`INSERT INTO auth.api_keys (id, owner, key_hash, role) VALUES (gen_random_uuid(), 'alice', repeat('a', 64), 'admin')`, ""},
			{`UPDATE auth.api_keys SET last_used_at = now()`, ""},
			{`SELECT * FROM audit.audit_logs`, denied},
			{`TRUNCATE auth.api_keys`, denied},
			{`DELETE FROM auth.api_keys`, ""},
		},
		"jobs": {
			{`INSERT INTO jobs.job_types (name, queue, timeout_seconds) VALUES ('mine', 'corpus', 10)`, ""},
			{`UPDATE jobs.job_types SET enabled = false WHERE name = 'mine'`, ""},
			{`INSERT INTO jobs.outbox (id, body) VALUES (gen_random_uuid(), '[]')`, ""},
			{`DELETE FROM jobs.outbox`, ""},
			{`SELECT key_hash FROM auth.api_keys`, denied},
			{`SELECT * FROM corpus.documents`, denied},
			{`DELETE FROM jobs.schema_migrations`, denied},
			{`CREATE TABLE jobs.mine (id int)`, denied},
			{`ALTER TABLE jobs.jobs DROP CONSTRAINT finished_once`, denied},
		},
		"corpus": {
			{`INSERT INTO corpus.documents (id, path, stem, title, modality, ingest_status, checksum, byte_size) VALUES (gen_random_uuid(), '/a', 'a', 'a', 'text', 'ingested', repeat('a', 64), 1)`, ""},
			{`SELECT * FROM corpus.atoms`, ""},
			{`SELECT * FROM corpus.document_siblings`, ""},
			{`DELETE FROM corpus.documents`, ""},
			{`SELECT * FROM plugins.analysis_runs`, denied},
		},
		"plugins": {
			{`SELECT * FROM plugins.layer_outputs`, ""},
			{`DELETE FROM plugins.analysis_runs`, ""},
			{`UPDATE jobs.jobs SET status = 'succeeded'`, denied},
		},
		"audit": {
			{`INSERT INTO audit.audit_logs (occurred_at, event_id, action, actor, source, request_id, details) VALUES (now(), 'e1', 'a', 'alice', 'jobs', 'r', '{}')`, ""},
			{`INSERT INTO audit.dead_letters (received_at, stream, sequence, subject, origin, reason, headers, body, body_size) VALUES (now(), 'S', 1, 's', 'o', 'r', '{}', '', 0)`, ""},
			{`INSERT INTO audit.audit_logs (occurred_at, event_id, action, actor, source, request_id, details) VALUES (now(), 'e1', 'a', 'eve', 'jobs', 'r', '{}') ON CONFLICT DO NOTHING`, ""},
			{`SELECT * FROM audit.audit_logs`, ""},
			{`UPDATE audit.audit_logs SET actor = 'eve'`, denied},
			{`UPDATE audit.audit_logs SET actor = 'eve' WHERE false`, denied},
			{`DELETE FROM audit.audit_logs`, denied},
			{`TRUNCATE audit.audit_logs`, denied},
			{`UPDATE audit.dead_letters SET reason = ''`, denied},
			{`DELETE FROM audit.dead_letters`, denied},
			{`ALTER TABLE audit.audit_logs DISABLE TRIGGER ALL`, denied},
			{`DROP TRIGGER audit_logs_append_only ON audit.audit_logs`, denied},
			{`SELECT * FROM jobs.jobs`, denied},
			{`SELECT secret FROM webhooks.subscriptions`, denied},
		},
		"webhooks": {
			{`INSERT INTO webhooks.owners (owner, secret) VALUES ('alice', 's')`, ""},
			{`UPDATE webhooks.revision SET number = number + 1`, ""},
			{`DELETE FROM webhooks.deliveries`, ""},
			{`SELECT * FROM jobs.job_inputs`, denied},
			{`SELECT * FROM audit.audit_logs`, denied},
			{`TRUNCATE webhooks.deliveries`, denied},
		},
	} {
		db := testkit.OpenPostgres(t, databaseURL, migrations.Role(schema))
		for _, s := range statements {
			_, err := db.Pool.Exec(t.Context(), s.statement)
			if s.code == "" {
				require.NoError(t, err, "%s: %s", schema, s.statement)
				continue
			}
			require.ErrorContains(t, err, "SQLSTATE "+s.code, "%s: %s", schema, s.statement)
		}
	}
}

// Nobody rewrites the trail by accident, not even whoever owns the server.
func TestTrailIsAppendOnlyForEverybody(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	for _, statement := range []string{
		`UPDATE audit.audit_logs SET actor = 'eve'`, `DELETE FROM audit.audit_logs`, `TRUNCATE audit.audit_logs`,
		`UPDATE audit.dead_letters SET reason = ''`, `DELETE FROM audit.dead_letters`, `TRUNCATE audit.dead_letters`,
		`SET session_replication_role = replica; DELETE FROM audit.audit_logs`,
	} {
		_, err := db.Pool.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "is append-only", statement)
	}
}
