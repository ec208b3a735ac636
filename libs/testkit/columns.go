package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun/schema"
)

// holds reports whether a field can hold every value of a column, and writes no value
// that means something else there.
func holds(f *schema.Field, col column) bool {
	t := f.StructField.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	stated, _ := f.Tag.Option("type")
	if t.Kind() == reflect.Slice && (f.Tag.HasOption("array") || strings.HasSuffix(stated, "[]")) {
		element, isArray := strings.CutSuffix(col.base, "[]")
		return isArray && slices.Contains(typesFor(t.Elem()), element)
	}
	if col.enum {
		return t.Kind() == reflect.String
	}
	return slices.Contains(typesFor(t), col.base)
}

// typesFor lists the types of Postgres whose every value a Go type can hold.
func typesFor(t reflect.Type) []string {
	if inner := optional(t); inner != nil {
		return typesFor(inner)
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		// A timestamp without a time zone is another moment for each reader.
		return []string{"timestamp with time zone"}
	case reflect.TypeFor[uuid.UUID]():
		return []string{"uuid"}
	case reflect.TypeFor[json.RawMessage]():
		return []string{"json", "jsonb"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return []string{"boolean"}
	case reflect.String:
		// Of what has one text only. bun writes a string as the text that it is.
		return []string{"text", "character varying", "character", "uuid", "json", "jsonb"}
	case reflect.Int16:
		return []string{"smallint"}
	case reflect.Int32:
		return []string{"smallint", "integer"}
	case reflect.Int, reflect.Int64:
		return []string{"smallint", "integer", "bigint"}
	case reflect.Float32:
		return []string{"real"}
	case reflect.Float64:
		return []string{"real", "double precision"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return []string{"bytea"}
		}
		return []string{"json", "jsonb"}
	case reflect.Map, reflect.Struct:
		return []string{"json", "jsonb"}
	default:
		return nil
	}
}

// optional returns what a type such as sql.NullString or uuid.NullUUID holds beside its
// word on whether there is anything, and nil for others.
func optional(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Struct || t.NumField() != 2 || t.Field(1).Name != "Valid" || t.Field(1).Type.Kind() != reflect.Bool {
		return nil
	}
	return t.Field(0).Type
}

// refusal is what Postgres has against a type or a default.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

// inWordsOfPostgres returns a type and a default as Postgres shows those of a column
// that was made with them; a *refusal when it makes none.
func (c *comparison) inWordsOfPostgres(ctx context.Context, kind, fallback string) (column, error) {
	savepoint, err := c.tx.Begin(ctx)
	if err != nil {
		return column{}, fmt.Errorf("set a savepoint: %w", err)
	}
	definition := kind
	if fallback != "" {
		definition += " DEFAULT " + fallback
	}
	var col column
	_, err = savepoint.Exec(ctx, "CREATE TEMPORARY TABLE stated (c "+definition+")")
	if err == nil {
		err = savepoint.QueryRow(ctx, `SELECT format_type(a.atttypid, a.atttypmod), coalesce(pg_get_expr(d.adbin, d.adrelid), '')
			FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			WHERE a.attrelid = 'pg_temp.stated'::regclass AND a.attname = 'c'`).Scan(&col.kind, &col.fallback)
	}
	if rolledBack := savepoint.Rollback(ctx); rolledBack != nil {
		return column{}, fmt.Errorf("go back to the savepoint: %w", errors.Join(err, rolledBack))
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return column{}, &refusal{refused.Message}
	}
	return col, err
}
