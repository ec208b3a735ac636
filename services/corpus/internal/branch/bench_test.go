package branch_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

// BenchmarkReplay replays a lineage of 1,000 events over a text of 20,000
// characters: from its last checkpoint, and whole.
func BenchmarkReplay(b *testing.B) {
	g := newGrove(b, 1<<20)
	reply := contract.EvolveReply{}
	document := g.plant(strings.Repeat("The knight thinks of the ships and the fishing fleet. ", 370))
	for i := range 10 {
		events := make([]contract.EvolveEvent, 100)
		for j := range events {
			events[j] = event([]string{"natural_drift", "reverse_drift", "glyph_fusion"}[j%3], "{}")
		}
		if i == 0 {
			reply = g.grow("", document, events...)
			continue
		}
		reply = g.grow(reply.FinalBranchID, "", events...)
	}
	for name, whole := range map[string]bool{"from its checkpoint": false, "whole": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				replay, err := g.Replay(b.Context(), contract.BranchRequest{BranchID: reply.FinalBranchID, FromRoot: whole})
				require.NoError(b, err)
				require.Equal(b, 1000, replay.EventCount)
			}
		})
	}
}
