package testkit

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/schema"

	"nexus.internal/libs/pg"
)

// RequireRowsMatch holds row types against the migrated tables: both must have
// exactly the same columns, and a column may be NULL only where the field can
// hold nothing.
func RequireRowsMatch(t testing.TB, db *pg.DB, rows []any) {
	t.Helper()
	require.NotEmpty(t, rows)
	for _, row := range rows {
		table := db.Bun.Table(reflect.TypeOf(row).Elem())
		columns, fields := columnsOf(t, db, table.Name), fieldsOf(table)
		for name, kind := range fields {
			if kind == eitherWay {
				delete(fields, name)
				require.Contains(t, columns, name, "columns of %s", table.Name)
				delete(columns, name)
			}
		}
		require.Equal(t, columns, fields, "columns of %s", table.Name)
	}
}

type nullability string

const (
	neverNull nullability = "never NULL"
	maybeNull nullability = "may be NULL"
	// eitherWay is a slice: it holds NULL as nil whether or not there is any.
	eitherWay nullability = "slice"
)

func columnsOf(t testing.TB, db *pg.DB, table string) map[string]nullability {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), `SELECT attname, NOT attnotnull FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`, table)
	require.NoError(t, err, "read the columns of %s", table)
	defer rows.Close()
	out := map[string]nullability{}
	for rows.Next() {
		var name string
		var nullable bool
		require.NoError(t, rows.Scan(&name, &nullable))
		out[name] = neverNull
		if nullable {
			out[name] = maybeNull
		}
	}
	require.NoError(t, rows.Err())
	return out
}

func fieldsOf(table *schema.Table) map[string]nullability {
	out := map[string]nullability{}
	for _, f := range table.Fields {
		switch t := f.StructField.Type; {
		case t.Kind() == reflect.Pointer:
			out[f.Name] = maybeNull
		case t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
			out[f.Name] = eitherWay
		default:
			out[f.Name] = neverNull
		}
	}
	return out
}
