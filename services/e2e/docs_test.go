package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page of guarantees names tests that exist, and every guarantee's test.
func TestGuaranteesPageNamesTheTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/guarantees.md")
	require.NoError(t, err)
	named := map[string]bool{}
	for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(string(page), -1) {
		named[name] = true
	}
	require.NotEmpty(t, named)

	written := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, root := range []string{"..", "../../libs", "../../cmd"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
				written[m[1]] = true
			}
			return nil
		}))
	}
	for name := range named {
		require.Contains(t, written, name, "the page names a test that does not exist")
	}
	for name := range written {
		if strings.HasPrefix(name, "TestGuarantee") && name != "TestGuaranteesPageNamesTheTests" {
			require.Contains(t, named, name, "the page lacks a guarantee")
		}
	}
}
