package embedpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating system user the server runs as.
type account struct {
	name     string
	uid, gid uint32
	// drop says that the program is root and must give its rights up first.
	drop bool
}

// currentAccount is the user the program runs as.
func currentAccount() account {
	return account{name: userName(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
}

// serverAccount picks the user for a new database: the program's own, or as
// root the user postgres, else nobody.
func serverAccount() (account, error) {
	own := currentAccount()
	if own.uid != 0 {
		return own, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return account{}, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), drop: true}, nil
	}
	return account{}, errors.New("PostgreSQL does not run as root, and neither user postgres nor user nobody exists: " +
		"create one of them, or start as an ordinary user")
}

// clusterAccount picks the user for an existing database: whoever owns it,
// because PostgreSQL refuses any other.
func clusterAccount(cluster string) (account, error) {
	info, err := os.Stat(cluster)
	if err != nil {
		return account{}, fmt.Errorf("look at the database folder: %w", err)
	}
	own, owner := currentAccount(), ownerOf(info)
	switch {
	case owner.uid == own.uid && own.uid != 0:
		return own, nil
	case own.uid == 0 && owner.uid != 0:
		owner.name, owner.drop = userName(int(owner.uid)), true
		return owner, nil
	default:
		return account{}, fmt.Errorf("%w: the database in %s belongs to user %s and this program runs as %s: "+
			"start it as the owner, or give the database to another user with chown -R",
			ErrForeign, cluster, userName(int(owner.uid)), own.name)
	}
}

// ownerOf returns the ids of the owner of a file.
func ownerOf(info fs.FileInfo) account {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return account{} // root's: the answer that grants nothing
	}
	return account{uid: stat.Uid, gid: stat.Gid}
}

// named reports whether the account has a name on this machine. Containers like
// to run programs under a number alone.
func (a account) named() bool {
	_, err := user.LookupId(strconv.FormatUint(uint64(a.uid), 10))
	return err == nil
}

func userName(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}

// command prepares a PostgreSQL program to run as the account, away from the
// terminal's Ctrl-C, with an environment that says nothing about other servers.
// It runs until it ends: ctx does not kill it.
func (a account) command(ctx context.Context, program string) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program)
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

// environment is what a PostgreSQL program hears of: nothing of the user's shell.
func environment() []string {
	return []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/local/bin:/usr/bin:/bin"}
}

// claim makes dir a folder that only the account may enter. It follows no link:
// root must not hand over what somebody else's link points to.
func (a account) claim(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create a folder for the database: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at a folder of the database: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is not a folder", ErrForeign, dir)
	}
	if a.drop {
		if err := os.Lchown(dir, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("give a folder to user %s: %w", a.name, err)
		}
	}
	if info.Mode().Perm() == 0o700 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("protect a folder of the database: %w", err)
	}
	return nil
}

// own gives a file the program keeps beside the database to the account, so
// that its user can start the same server later without root.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	if err := os.Lchown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give a file to user %s: %w", a.name, err)
	}
	return nil
}

// unreachable returns the first folder on the way to dir, dir included, that
// the account may not pass, or "" if it can reach dir.
func (a account) unreachable(dir string) (string, error) {
	if !a.drop {
		return "", nil
	}
	for _, folder := range ancestors(dir) {
		info, err := os.Stat(folder)
		if err != nil {
			return "", fmt.Errorf("check the way to %s: %w", dir, err)
		}
		if !a.mayPass(info) {
			return folder, nil
		}
	}
	return "", nil
}

// mayPass reads the permission bits as the kernel does: only the first class
// that fits counts. Access control lists are not looked at.
func (a account) mayPass(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	owner := ownerOf(info)
	switch {
	case owner.uid == a.uid:
		return mode&0o100 != 0
	case owner.gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// ancestors lists dir and everything above it, from the root down.
func ancestors(dir string) []string {
	if parent := filepath.Dir(dir); parent != dir {
		return append(ancestors(parent), dir)
	}
	return []string{dir}
}
