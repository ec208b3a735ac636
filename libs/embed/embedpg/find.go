package embedpg

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// places are where packages put the server programs of one major version:
// Debian, the PostgreSQL project's RPMs, Alpine, Homebrew, Postgres.app.
func places() []string {
	return []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	}
}

// programs are the executables a private server needs.
func programs() []string { return []string{"postgres", "initdb"} }

// Find returns the folder that holds the PostgreSQL server programs. A binDir
// that is given must hold them; otherwise it is the newest version installed in
// the places the usual packages use, then the one on PATH. The error wraps
// ErrNotInstalled when there is none. Find installs nothing.
func Find(binDir string) (string, error) { return findUnder("/", binDir) }

func findUnder(root, binDir string) (string, error) {
	if binDir != "" {
		// The programs run in another folder.
		binDir, err := filepath.Abs(binDir)
		if err != nil {
			return "", fmt.Errorf("find the folder of NEXUS_PG_BIN: %w", err)
		}
		if !holdsPrograms(binDir) {
			return "", fmt.Errorf("%w in %s (from NEXUS_PG_BIN): the folder must hold the programs %s",
				ErrNotInstalled, binDir, strings.Join(programs(), " and "))
		}
		return binDir, nil
	}
	if found := installed(root); len(found) > 0 {
		return found[0].dir, nil
	}
	if dir, ok := onPath(); ok {
		return dir, nil
	}
	return "", fmt.Errorf("%w: run `make run`, which installs it, or `apt-get install postgresql`, "+
		"or set NEXUS_PG_BIN to the folder that holds %s", ErrNotInstalled, strings.Join(programs(), " and "))
}

// installation is one installed version of PostgreSQL.
type installation struct {
	dir   string
	major int
}

// installed lists the versions found in places beneath root, newest first.
func installed(root string) []installation {
	var found []installation
	for _, place := range places() {
		matches, err := filepath.Glob(filepath.Join(root, place))
		if err != nil {
			continue // only a malformed pattern fails, and these are constant
		}
		for _, dir := range matches {
			major, ok := folderVersion(dir)
			if ok && holdsPrograms(dir) {
				found = append(found, installation{dir: dir, major: major})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b installation) int { return cmp.Compare(b.major, a.major) })
	return found
}

// folderVersion reads the version out of a folder name: 15 from
// /usr/lib/postgresql/15/bin, 17 from .../postgresql@17/bin.
func folderVersion(dir string) (int, bool) {
	name := filepath.Base(strings.TrimSuffix(dir, "/bin"))
	digits := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz@-")
	digits, _, _ = strings.Cut(digits, ".")
	major, err := strconv.Atoi(digits)
	return major, err == nil
}

// onPath finds the folder behind the postgres on PATH. A package may link that
// program alone into the PATH and keep the rest together elsewhere.
func onPath() (string, bool) {
	program, err := exec.LookPath("postgres")
	if err != nil {
		return "", false
	}
	if target, err := filepath.EvalSymlinks(program); err == nil && holdsPrograms(filepath.Dir(target)) {
		return filepath.Dir(target), true
	}
	dir := filepath.Dir(program)
	return dir, holdsPrograms(dir)
}

func holdsPrograms(dir string) bool {
	for _, name := range programs() {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// programVersion asks the programs in binDir for their major version.
func programVersion(ctx context.Context, binDir string) (int, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(binDir, "postgres"), "--version")
	cmd.Env = environment()
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("ask the PostgreSQL programs in %s for their version: %w", binDir, err)
	}
	match := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("the programs in %s do not say which PostgreSQL they are: %q", binDir, out)
	}
	return strconv.Atoi(string(match[1]))
}
