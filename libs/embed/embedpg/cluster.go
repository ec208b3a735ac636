package embedpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

// superuser owns everything in a private server.
const superuser = "nexus"

// dataVersion returns the major version that made the cluster; made is false
// when there is no cluster yet.
func dataVersion(cluster string) (major int, made bool, err error) {
	entries, err := os.ReadDir(cluster)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look at the database folder: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if err != nil {
		return 0, false, fmt.Errorf("%w: %s is not empty and holds no database: move it away", ErrForeign, cluster)
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	if major, err = strconv.Atoi(word); err != nil {
		return 0, false, fmt.Errorf("%w: PG_VERSION in %s is damaged: %q", ErrForeign, cluster, text)
	}
	return major, true, nil
}

// choosePrograms finds the programs for the data: those in binDir, or without
// it an installed version that can read the data.
func choosePrograms(ctx context.Context, binDir, cluster string) (string, error) {
	dir, err := Find(binDir)
	if err != nil {
		return "", err
	}
	wanted, made, err := dataVersion(cluster)
	if err != nil || !made {
		return dir, err
	}
	have, err := programVersion(ctx, dir)
	if err != nil || have == wanted {
		return dir, err
	}
	remedy := fmt.Sprintf("install version %d and set NEXUS_PG_BIN to its folder", wanted)
	for _, other := range installed("/") {
		if other.major != wanted {
			continue
		}
		if binDir == "" {
			return other.dir, nil
		}
		remedy = "set NEXUS_PG_BIN to " + other.dir
	}
	return "", fmt.Errorf("%w: PostgreSQL %d made the data in %s and the programs in %s are version %d: %s, or move the data with pg_dump",
		ErrVersion, wanted, cluster, dir, have, remedy)
}

// makeCluster creates the database files unless they are there. The work is
// done under another name, so a folder with the final name is always complete.
func (h home) makeCluster(ctx context.Context, binDir string, durable bool, log zerolog.Logger) error {
	if _, made, err := dataVersion(h.cluster()); err != nil || made {
		return err
	}
	if exists(h.halfMade()) {
		log.Warn().Str("folder", h.halfMade()).Msg("an earlier start was interrupted while it created the database; starting over")
		if err := os.RemoveAll(h.halfMade()); err != nil {
			return fmt.Errorf("remove a half made database: %w", err)
		}
	}
	if err := h.account.claim(h.halfMade()); err != nil {
		return err
	}
	if err := h.runInitdb(ctx, binDir, durable); err != nil {
		return errors.Join(err, os.RemoveAll(h.halfMade()))
	}
	// At most an empty folder has the name.
	if err := os.Remove(h.cluster()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make room for the new database: %w", err)
	}
	if err := os.Rename(h.halfMade(), h.cluster()); err != nil {
		return fmt.Errorf("put the new database into its place: %w", err)
	}
	if durable {
		return syncDir(h.dir)
	}
	return nil
}

func (h home) runInitdb(ctx context.Context, binDir string, durable bool) (err error) {
	cmd := h.account.command(ctx, filepath.Join(binDir, "initdb"))
	defer func() { err = errors.Join(err, letGo(cmd)) }()
	folder, err := h.handOver(cmd, h.halfMade())
	if err != nil {
		return err
	}
	cmd.Args = append(cmd.Args, "-D", folder, "-U", superuser, "--auth=trust", "--encoding=UTF8", "--locale=C")
	if !durable {
		cmd.Args = append(cmd.Args, "--no-sync")
	}
	output, err := os.CreateTemp(h.dir, "initdb-*.log")
	if err != nil {
		return fmt.Errorf("create a log for initdb: %w", err)
	}
	defer func() {
		_ = output.Close()
		_ = os.Remove(output.Name())
	}()
	cmd.Stdout, cmd.Stderr = output, output
	initdb, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("create the database as user %s: %w", h.account.name, err)
	}
	select {
	case <-initdb.done:
	case <-ctx.Done():
		initdb.killGroup()
		<-initdb.done
		return fmt.Errorf("create the database: %w", context.Cause(ctx))
	}
	if initdb.err != nil && !h.account.named() {
		return fmt.Errorf("create the database: the user id %d has no name on this machine, and PostgreSQL wants one: "+
			"add a line such as nexus:x:%d:%d::/:/sbin/nologin to /etc/passwd, start as a user that has one, "+
			"or set NEXUS_DATABASE_URL to a server that runs elsewhere", h.account.uid, h.account.uid, h.account.gid)
	}
	if initdb.err != nil {
		return fmt.Errorf("create the database as user %s: %w%s", h.account.name, initdb.err, tail(output.Name(), 0))
	}
	return nil
}

// syncDir makes a rename inside dir survive a power cut.
func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the database's folder: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}
