package testkit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/schema"

	"nexus.internal/libs/pg"
)

// Selected is a row type that names no table of its own: what a query selects from
// a table or a view.
type Selected struct {
	// From is the table or view, with its schema.
	From string
	// Row is a nil pointer to the row type.
	Row any
}

// RequireRowsMatch holds row types against the migrated tables of their schemas. See
// Mismatches.
func RequireRowsMatch(t testing.TB, db *pg.DB, rows []any, unmapped ...string) {
	t.Helper()
	require.NotEmpty(t, rows)
	found, err := Mismatches(t.Context(), db, rows, unmapped...)
	require.NoError(t, err, "look at the schema")
	require.Empty(t, found, "row types and the migrated schema differ")
}

// Mismatches says where row types and the migrated schema differ. A row type is a nil
// pointer to a struct that names its table in its bun tags, or a Selected.
//
// Each field must have its column, of a type whose every value the field can hold; one
// that may be NULL needs a field that can hold nothing, or one with nullzero, and no
// other column may have such a field. A type or a default that a tag states must be the
// column's. Each column, and each table of the schemas that the rows are in, must belong
// to a row type, unless it is named as unmapped ("jobs.outbox", "jobs.outbox.body"):
// those that SQL alone touches.
func Mismatches(ctx context.Context, db *pg.DB, rows []any, unmapped ...string) (_ []string, err error) {
	tx, err := db.Pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() { err = errors.Join(err, tx.Rollback(ctx)) }()
	c := comparison{tx: tx, mapped: map[string]bool{}, relations: map[string]*relation{}}
	for _, row := range rows {
		if err := c.row(ctx, db, row); err != nil {
			return nil, err
		}
	}
	if err := c.leftOver(ctx, unmapped); err != nil {
		return nil, err
	}
	slices.Sort(c.found)
	return slices.Compact(c.found), nil
}

// column is what Postgres knows of one.
type column struct {
	kind, base, fallback string
	nullable, enum       bool
	// identity is a number that the database gives.
	identity bool
}

// relation is a table or a view with its columns by name.
type relation struct {
	view    bool
	columns map[string]column
}

type comparison struct {
	tx        pgx.Tx
	relations map[string]*relation
	// mapped are the columns and relations that belong to a row type.
	mapped map[string]bool
	found  []string
}

func (c *comparison) say(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *comparison) row(ctx context.Context, db *pg.DB, row any) error {
	selected, ok := row.(Selected)
	if !ok {
		selected.Row = row
	}
	of := reflect.TypeOf(selected.Row).Elem()
	table := db.Bun.Table(of)
	if !ok {
		selected.From = table.Name
	}
	rel, err := c.relation(ctx, selected.From)
	if err != nil {
		return err
	}
	if rel == nil {
		c.say("%s: there is no such table, but %s is a row of it", selected.From, of.Name())
		return nil
	}
	c.mapped[selected.From] = true
	for _, f := range table.Fields {
		name := selected.From + "." + f.Name
		col, ok := rel.columns[f.Name]
		if !ok {
			c.say("%s: there is no such column, but %s has a field for it", name, of.Name())
			continue
		}
		c.mapped[name] = true
		if !holds(f, col) {
			c.say("%s is %s, which a %s cannot hold", name, col.kind, f.StructField.Type)
		}
		if !rel.view {
			c.nullability(name, f, col)
		}
		if err := c.tags(ctx, name, f, col); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) nullability(name string, f *schema.Field, col column) {
	t := f.StructField.Type
	switch either := t.Kind() == reflect.Slice || t.Kind() == reflect.Map; {
	case either && !f.NullZero:
		// NULL is nil, whether or not there is any.
	case col.nullable && t.Kind() != reflect.Pointer && optional(t) == nil && !f.NullZero:
		c.say("%s may be NULL, which a %s cannot hold", name, t)
	case !col.nullable && !either && (t.Kind() == reflect.Pointer || optional(t) != nil):
		c.say("%s is never NULL, but its field is a %s", name, t)
	case !col.nullable && f.NullZero && col.fallback == "" && !col.identity:
		c.say("%s is never NULL and has no default, but its field is written as that when it is zero", name)
	}
	if f.NotNull && col.nullable {
		c.say("%s may be NULL, but its field says notnull", name)
	}
}

// tags compares what a field's tags state with its column.
func (c *comparison) tags(ctx context.Context, name string, f *schema.Field, col column) error {
	// Not UserSQLType: bun fills that in where there is no tag.
	kind, stated := f.Tag.Option("type")
	if !stated && f.SQLDefault == "" {
		return nil
	}
	if !stated {
		kind = col.kind
	}
	want, err := c.inWordsOfPostgres(ctx, kind, f.SQLDefault)
	var refused *refusal
	if errors.As(err, &refused) {
		c.say("%s: Postgres refuses what its field's tag states: %s", name, refused.message)
		return nil
	}
	if err != nil {
		return err
	}
	if want.kind != col.kind {
		c.say("%s is %s, but its field says %s", name, col.kind, want.kind)
	}
	if f.SQLDefault != "" && want.fallback != col.fallback {
		c.say("%s has the default %q, but its field says %q", name, col.fallback, want.fallback)
	}
	return nil
}

// leftOver says which tables and columns belong to no row type, and which names of
// unmapped ones are of nothing or of something that does belong to one.
func (c *comparison) leftOver(ctx context.Context, unmapped []string) error {
	names := map[string]bool{}
	for from := range maps.Clone(c.relations) {
		schemaName, _, _ := strings.Cut(from, ".")
		tables, err := c.tables(ctx, schemaName)
		if err != nil {
			return err
		}
		for _, table := range tables {
			names[table] = true
		}
	}
	for name := range names {
		if _, err := c.relation(ctx, name); err != nil {
			return err
		}
	}
	for from, rel := range c.relations {
		if rel == nil || rel.view {
			continue
		}
		if !c.mapped[from] && !slices.Contains(unmapped, from) {
			c.say("%s has no row type", from)
		}
		for col := range rel.columns {
			names[from+"."+col] = true
			if c.mapped[from] && !c.mapped[from+"."+col] && !slices.Contains(unmapped, from+"."+col) {
				c.say("%s.%s has no field", from, col)
			}
		}
	}
	for _, name := range unmapped {
		if !names[name] || c.mapped[name] {
			c.say("%s is named as unmapped, which it is not", name)
		}
	}
	return nil
}

// relation reads what Postgres knows of a table or view; nil when there is none.
func (c *comparison) relation(ctx context.Context, name string) (*relation, error) {
	if rel, known := c.relations[name]; known {
		return rel, nil
	}
	rows, err := c.tx.Query(ctx, `SELECT c.relkind IN ('v', 'm'), a.attname, format_type(a.atttypid, a.atttypmod),
			format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE a.atttypid END, NULL), t.typtype = 'e',
			NOT (a.attnotnull OR t.typnotnull), coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity <> ''
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
			LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.oid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, name)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", name, err)
	}
	defer rows.Close()
	var rel *relation
	for rows.Next() {
		if rel == nil {
			rel = &relation{columns: map[string]column{}}
		}
		var attribute string
		var col column
		if err := rows.Scan(&rel.view, &attribute, &col.kind, &col.base, &col.enum, &col.nullable, &col.fallback, &col.identity); err != nil {
			return nil, fmt.Errorf("read the columns of %s: %w", name, err)
		}
		rel.columns[attribute] = col
	}
	c.relations[name] = rel
	return rel, rows.Err()
}

// tables are those of a schema, but for what migrations keep there about themselves.
func (c *comparison) tables(ctx context.Context, schemaName string) ([]string, error) {
	rows, err := c.tx.Query(ctx, `SELECT relnamespace::regnamespace::text || '.' || relname FROM pg_class
		WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')
			AND relname NOT IN ('schema_migrations', 'schema_migration_locks', 'schema_compatibility')`, schemaName)
	if err != nil {
		return nil, fmt.Errorf("list the tables of %s: %w", schemaName, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
