package store

import (
	"testing"

	"nexus.internal/libs/testkit"
)

func TestRowsMatchTheSchema(t *testing.T) {
	t.Parallel()
	testkit.RequireRowsMatch(t, testkit.Postgres(t), []any{(*runRow)(nil), (*outputRow)(nil)})
}
