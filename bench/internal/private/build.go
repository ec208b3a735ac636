package private

import (
	"context"
	"fmt"
	"os/exec"
)

// Package is the nexus program.
const Package = "nexus.internal/cmd/nexus"

// Build builds a program of this checkout into the file to.
func Build(ctx context.Context, to, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", to, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s (run this from the root of the checkout): %w\n%s", pkg, err, out)
	}
	return nil
}
