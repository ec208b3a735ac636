package embednats

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"nexus.internal/libs/contract"
)

// Files of a key folder. A user's seed is in user-<name>.nk.
const (
	issuerFile = "issuer.nk"
	xkeyFile   = "xkey.nk"
	userPrefix = "user-"
	keySuffix  = ".nk"
)

// Key is one nkey. Printing it shows the public half.
type Key struct {
	// Public is safe to show.
	Public string
	// Seed is the secret half; whoever has it is the key's owner.
	Seed []byte `json:"-"`
}

// String returns the public half.
func (k Key) String() string { return k.Public }

// GoString returns the public half.
func (k Key) GoString() string { return k.Public }

// Pair returns the key ready to sign, or for a curve key to seal and open.
func (k Key) Pair() (nkeys.KeyPair, error) {
	pair, err := nkeys.FromSeed(k.Seed)
	if err != nil {
		return nil, fmt.Errorf("use key %s: %w", k.Public, err)
	}
	return pair, nil
}

// Option makes a connection prove that it owns the user key.
func (k Key) Option() nats.Option {
	return nats.Nkey(k.Public, func(nonce []byte) ([]byte, error) {
		pair, err := k.Pair()
		if err != nil {
			return nil, err
		}
		defer pair.Wipe()
		return pair.Sign(nonce)
	})
}

// Keys are the secrets of one installation.
type Keys struct {
	// Issuer is the account key that signs callout answers.
	Issuer Key
	// XKey is the curve key that callout requests are encrypted for.
	XKey  Key
	users map[string]Key
}

// User returns the user key of a service that was named to LoadOrCreateKeys.
func (k *Keys) User(name string) (Key, error) {
	key, ok := k.users[name]
	if !ok {
		return Key{}, fmt.Errorf("there is no key for user %q", name)
	}
	return key, nil
}

// keyKind is what a key is for, and how to tell.
type keyKind struct {
	name   string
	create func() (nkeys.KeyPair, error)
	valid  func(public string) bool
}

// LoadOrCreateKeys reads the keys kept in dir, one seed per file, and creates
// those that are missing: the issuer, the curve key and one user key per name.
// The folder is made with mode 0700 and its files with 0600; a file that others
// may read or write, or that holds anything else than its key, is refused. A file
// that belongs to another user may be readable for the group.
// Processes that do this at the same time end up with the same keys.
func LoadOrCreateKeys(dir string, names ...string) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the key folder: %w", err)
	}
	return readKeys(dir, keyKind.loadOrCreate, true, names)
}

// LoadKeys reads the user keys of names from dir, and the issuer and the curve
// key where callout asks for them. It creates nothing, so that a process needs
// no more of the folder than its own keys.
func LoadKeys(dir string, callout bool, names ...string) (*Keys, error) {
	return readKeys(dir, keyKind.load, callout, names)
}

func readKeys(dir string, read func(keyKind, string) (Key, error), callout bool, names []string) (*Keys, error) {
	account := keyKind{name: "account", create: nkeys.CreateAccount, valid: nkeys.IsValidPublicAccountKey}
	curve := keyKind{name: "curve", create: nkeys.CreateCurveKeys, valid: nkeys.IsValidPublicCurveKey}
	user := keyKind{name: "user", create: nkeys.CreateUser, valid: nkeys.IsValidPublicUserKey}

	keys := &Keys{users: map[string]Key{}}
	var problems []error
	if callout {
		var issuerErr, xkeyErr error
		keys.Issuer, issuerErr = read(account, filepath.Join(dir, issuerFile))
		keys.XKey, xkeyErr = read(curve, filepath.Join(dir, xkeyFile))
		problems = append(problems, issuerErr, xkeyErr)
	}
	for _, name := range names {
		if !contract.ValidToken(name) {
			problems = append(problems, fmt.Errorf("user name %q: want 1 to %d of a-z A-Z 0-9 _ -", name, contract.MaxToken))
			continue
		}
		key, err := read(user, filepath.Join(dir, userPrefix+name+keySuffix))
		keys.users[name] = key
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("open the keys in %s: %w", dir, err)
	}
	return keys, nil
}

func (k keyKind) loadOrCreate(path string) (Key, error) {
	key, err := k.load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := k.createFile(path); err != nil {
		return Key{}, err
	}
	return k.load(path)
}

// othersMay are the rights that nobody else may have on a key. Whoever gave us a key
// that is theirs, as a Secret volume of Kubernetes does, gave it to our group.
func othersMay(info fs.FileInfo) fs.FileMode {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return 0o037
	}
	return 0o077
}

func (k keyKind) load(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("look for a key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&othersMay(info) != 0 {
		return Key{}, fmt.Errorf("%s has mode %04o, so others may use the key: run chmod 600 on it, "+
			"or delete it for a new key if somebody may have read it", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("read a key: %w", err)
	}
	seed := bytes.TrimSpace(text)
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return Key{}, fmt.Errorf("%s is damaged (%w): restore it, or delete it for a new key", path, err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return Key{}, fmt.Errorf("%s is damaged (%w): restore it, or delete it for a new key", path, err)
	}
	if !k.valid(public) {
		return Key{}, fmt.Errorf("%s holds the key %s, which is no %s key", path, public, k.name)
	}
	return Key{Public: public, Seed: seed}, nil
}

// createFile writes a new seed to path at once or not at all. A file that
// another process put there first stays.
func (k keyKind) createFile(path string) error {
	pair, err := k.create()
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	seed, err := pair.Seed()
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimSuffix(filepath.Base(path), keySuffix)+"-*")
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(append(seed, '\n'))
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}
