package wmjs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	wmjs "nexus.internal/libs/bus/watermill"
)

func TestLogger(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := wmjs.NewLogger(zerolog.New(&out).Level(zerolog.DebugLevel)).With(map[string]any{"handler": "h"})
	log.Error("failed", fmt.Errorf("cause"), map[string]any{"n": 1})
	log.Info("added", nil)
	log.Debug("detail", nil)
	log.Trace("unseen", nil)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	require.JSONEq(t, `{"level":"error","handler":"h","error":"cause","n":1,"message":"failed"}`, lines[0])
	require.JSONEq(t, `{"level":"debug","handler":"h","message":"added"}`, lines[1])
	require.JSONEq(t, `{"level":"debug","handler":"h","message":"detail"}`, lines[2])
}
