package testkit_test

import (
	"database/sql"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

const shopSchema = `CREATE SCHEMA shop;
	CREATE TYPE shop.size AS ENUM ('small', 'large');
	CREATE DOMAIN shop.word AS text NOT NULL;
	CREATE TABLE shop.goods (
		id      uuid PRIMARY KEY,
		name    varchar(40) NOT NULL,
		size    shop.size NOT NULL,
		brand   shop.word,
		price   bigint NOT NULL DEFAULT 3,
		stock   integer,
		weight  double precision,
		labels  text[] NOT NULL DEFAULT '{}',
		about   jsonb NOT NULL DEFAULT '{}',
		picture bytea,
		sold    boolean NOT NULL DEFAULT false,
		seller  uuid,
		made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		gone    text
	);
	ALTER TABLE shop.goods DROP COLUMN gone;
	CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
	CREATE TABLE shop.schema_migrations (id bigint);
	CREATE VIEW shop.names AS SELECT id, name, stock FROM shop.goods;`

// Rows of the shop, right ones first.
type (
	goodsRow struct {
		bun.BaseModel `bun:"table:shop.goods"`
		ID            uuid.UUID `bun:",pk"`
		Name          string    `bun:",type:varchar(40)"`
		Size          string
		Brand         string
		Price         int64 `bun:",notnull,nullzero,default:3"`
		Stock         *int
		Weight        sql.NullFloat64
		Labels        []string        `bun:",array,default:'{}'"`
		About         json.RawMessage `bun:",type:jsonb"`
		Picture       []byte
		Sold          bool
		Seller        uuid.UUID `bun:",nullzero"`
		MadeAt        time.Time `bun:",nullzero,default:clock_timestamp()"`
		Total         int64     `bun:",scanonly"`
	}
	orderRow struct {
		bun.BaseModel `bun:"table:shop.orders"`
		ID            int64 `bun:",pk,autoincrement"`
		Note          *string
	}
	nameRow struct {
		ID    uuid.UUID
		Name  string
		Stock int
	}
)

// Rows of the shop, each with one mistake.
type (
	goodsID struct {
		bun.BaseModel `bun:"table:shop.goods"`
		ID            uuid.UUID `bun:",pk"`
	}
	noTable struct {
		bun.BaseModel `bun:"table:shop.nothing"`
		ID            string
	}
	noColumn struct {
		goodsRow `bun:",extend"`
		Secret   []byte
	}
	nullIntoValue struct {
		goodsRow `bun:",extend"`
		Stock    int
	}
	pointerToNever struct {
		goodsRow `bun:",extend"`
		Name     *string
	}
	optionalNever struct {
		goodsRow `bun:",extend"`
		Sold     sql.NullBool
	}
	notNullOfNull struct {
		goodsRow `bun:",extend"`
		Stock    *int `bun:",notnull"`
	}
	zeroOfNever struct {
		goodsRow `bun:",extend"`
		Name     string `bun:",nullzero"`
	}
	textOfNumber struct {
		goodsRow `bun:",extend"`
		Price    string
	}
	numberOfText struct {
		goodsRow `bun:",extend"`
		Name     int
	}
	narrowNumber struct {
		goodsRow `bun:",extend"`
		Price    int32
	}
	narrowFraction struct {
		goodsRow `bun:",extend"`
		Weight   *float32
	}
	textOfBytes struct {
		goodsRow `bun:",extend"`
		Picture  *string
	}
	bytesOfText struct {
		goodsRow `bun:",extend"`
		Name     []byte
	}
	textOfTime struct {
		goodsRow `bun:",extend"`
		MadeAt   string
	}
	numberOfEnum struct {
		goodsRow `bun:",extend"`
		Size     int
	}
	otherArray struct {
		goodsRow `bun:",extend"`
		Labels   []int64 `bun:",array"`
	}
	noArray struct {
		goodsRow `bun:",extend"`
		Labels   []string
	}
	uncertainSeller struct {
		goodsRow `bun:",extend"`
		Seller   sql.NullInt64
	}
	otherType struct {
		goodsRow `bun:",extend"`
		About    json.RawMessage `bun:",type:json"`
	}
	otherLength struct {
		goodsRow `bun:",extend"`
		Name     string `bun:",type:varchar(41)"`
	}
	unknownType struct {
		goodsRow `bun:",extend"`
		Name     string `bun:",type:jsonx"`
	}
	otherDefault struct {
		goodsRow `bun:",extend"`
		Price    int64 `bun:",default:4"`
	}
	otherCall struct {
		goodsRow `bun:",extend"`
		MadeAt   time.Time `bun:",default:now()"`
	}
	noDefault struct {
		goodsRow `bun:",extend"`
		Stock    *int `bun:",default:0"`
	}
	impossibleDefault struct {
		goodsRow `bun:",extend"`
		Price    int64 `bun:",default:'much'"`
	}
)

func shop(t *testing.T) *pg.DB {
	t.Helper()
	db := testkit.OpenPostgres(t, testkit.EmptyDatabase(t), "")
	_, err := db.Pool.Exec(t.Context(), shopSchema)
	require.NoError(t, err)
	return db
}

func TestRowsThatMatch(t *testing.T) {
	t.Parallel()
	db := shop(t)
	names := testkit.Selected{From: "shop.names", Row: (*nameRow)(nil)}
	testkit.RequireRowsMatch(t, db, []any{(*goodsRow)(nil), (*orderRow)(nil), names})
	testkit.RequireRowsMatch(t, db, []any{(*goodsRow)(nil), (*goodsID)(nil)}, "shop.orders")
	testkit.RequireRowsMatch(t, db, []any{(*orderRow)(nil), (*goodsID)(nil)},
		"shop.goods.name", "shop.goods.size", "shop.goods.brand", "shop.goods.price", "shop.goods.stock", "shop.goods.weight", "shop.goods.labels",
		"shop.goods.about", "shop.goods.picture", "shop.goods.sold", "shop.goods.seller", "shop.goods.made_at")
}

func TestRowsThatDoNotMatch(t *testing.T) {
	t.Parallel()
	db := shop(t)
	for want, row := range map[string]any{
		"shop.nothing: there is no such table, but noTable is a row of it":                                             (*noTable)(nil),
		"shop.goods.secret: there is no such column, but noColumn has a field for it":                                  (*noColumn)(nil),
		"shop.goods.stock may be NULL, which a int cannot hold":                                                        (*nullIntoValue)(nil),
		"shop.goods.name is never NULL, but its field is a *string":                                                    (*pointerToNever)(nil),
		"shop.goods.sold is never NULL, but its field is a sql.NullBool":                                               (*optionalNever)(nil),
		"shop.goods.stock may be NULL, but its field says notnull":                                                     (*notNullOfNull)(nil),
		"shop.goods.name is never NULL and has no default, but its field is written as that when it is zero":           (*zeroOfNever)(nil),
		"shop.goods.price is bigint, which a string cannot hold":                                                       (*textOfNumber)(nil),
		"shop.goods.name is character varying(40), which a int cannot hold":                                            (*numberOfText)(nil),
		"shop.goods.price is bigint, which a int32 cannot hold":                                                        (*narrowNumber)(nil),
		"shop.goods.weight is double precision, which a *float32 cannot hold":                                          (*narrowFraction)(nil),
		"shop.goods.picture is bytea, which a *string cannot hold":                                                     (*textOfBytes)(nil),
		"shop.goods.name is character varying(40), which a []uint8 cannot hold":                                        (*bytesOfText)(nil),
		"shop.goods.made_at is timestamp with time zone, which a string cannot hold":                                   (*textOfTime)(nil),
		"shop.goods.size is shop.size, which a int cannot hold":                                                        (*numberOfEnum)(nil),
		"shop.goods.labels is text[], which a []int64 cannot hold":                                                     (*otherArray)(nil),
		"shop.goods.labels is text[], which a []string cannot hold":                                                    (*noArray)(nil),
		"shop.goods.seller is uuid, which a sql.NullInt64 cannot hold":                                                 (*uncertainSeller)(nil),
		"shop.goods.about is jsonb, but its field says json":                                                           (*otherType)(nil),
		"shop.goods.name is character varying(40), but its field says character varying(41)":                           (*otherLength)(nil),
		`shop.goods.name: Postgres refuses what its field's tag states: type "jsonx" does not exist`:                   (*unknownType)(nil),
		`shop.goods.price has the default "3", but its field says "4"`:                                                 (*otherDefault)(nil),
		`shop.goods.made_at has the default "clock_timestamp()", but its field says "now()"`:                           (*otherCall)(nil),
		`shop.goods.stock has the default "", but its field says "0"`:                                                  (*noDefault)(nil),
		`shop.goods.price: Postgres refuses what its field's tag states: invalid input syntax for type bigint: "much"`: (*impossibleDefault)(nil),
	} {
		// The right row beside it maps every column.
		found, err := testkit.Mismatches(t.Context(), db, []any{row, (*goodsRow)(nil), (*orderRow)(nil)})
		require.NoError(t, err)
		require.Equal(t, []string{want}, found)
	}
}

func TestTablesAndColumnsWithoutRows(t *testing.T) {
	t.Parallel()
	db := shop(t)
	for name, test := range map[string]struct {
		rows     []any
		unmapped []string
		want     []string
	}{
		"a table without rows": {[]any{(*goodsRow)(nil)}, nil, []string{"shop.orders has no row type"}},
		"columns without fields": {[]any{(*goodsID)(nil), testkit.Selected{From: "shop.orders", Row: (*nameRow)(nil)}}, []string{"shop.goods"}, []string{
			"shop.goods is named as unmapped, which it is not", "shop.goods.about has no field", "shop.goods.brand has no field", "shop.goods.labels has no field",
			"shop.goods.made_at has no field", "shop.goods.name has no field", "shop.goods.picture has no field", "shop.goods.price has no field",
			"shop.goods.seller has no field", "shop.goods.size has no field", "shop.goods.sold has no field", "shop.goods.stock has no field",
			"shop.goods.weight has no field", "shop.orders.id is bigint, which a uuid.UUID cannot hold",
			"shop.orders.name: there is no such column, but nameRow has a field for it", "shop.orders.note has no field",
			"shop.orders.stock: there is no such column, but nameRow has a field for it",
		}},
		"named for nothing": {[]any{(*goodsRow)(nil), (*orderRow)(nil)}, []string{"shop.things", "shop.goods.gone"}, []string{
			"shop.goods.gone is named as unmapped, which it is not", "shop.things is named as unmapped, which it is not",
		}},
	} {
		found, err := testkit.Mismatches(t.Context(), db, test.rows, test.unmapped...)
		require.NoError(t, err)
		require.Equal(t, test.want, found, name)
	}
	for name, rows := range map[string][]any{"no rows": nil, "wrong rows": {(*noTable)(nil)}} {
		s := watch(t, func(tb testing.TB) { testkit.RequireRowsMatch(tb, db, rows) })
		require.NotEmpty(t, s.complaints(), name)
	}
}
