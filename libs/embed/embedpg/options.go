package embedpg

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/rs/zerolog"
)

// Sizes used when Options does not say otherwise.
const (
	DefaultMaxConnections = 200
	DefaultSharedBuffers  = "256MB"
)

// Options describe one private server.
type Options struct {
	// BinDir holds the PostgreSQL programs (NEXUS_PG_BIN). "" picks an installed
	// version: the one that made the data, else the newest.
	BinDir string
	// DataDir is where everything is kept; it is created if needed. "" means a
	// temporary folder that Stop removes (or, if the program is killed, a later
	// Start with a temporary folder), and needs Durable to be false.
	DataDir string
	// Durable keeps PostgreSQL's own promise: a commit that was answered
	// survives a power cut. Without it a crash of the machine may destroy the
	// data; that is for tests.
	Durable bool
	// MaxConnections is how many clients may be connected; 0 means
	// DefaultMaxConnections.
	MaxConnections int
	// SharedBuffers is PostgreSQL's own cache, in its notation ("256MB"); ""
	// means DefaultSharedBuffers.
	SharedBuffers string
	// Settings are further server settings by name. Those that Start decides
	// (where the server listens, and its durability) cannot be set.
	Settings map[string]string
	// Log receives what the program does. The server's own log is a file.
	Log zerolog.Logger
}

func (o Options) validate() error {
	if o.DataDir == "" && o.Durable {
		return errors.New("a durable server needs a data folder")
	}
	if o.MaxConnections < 0 {
		return fmt.Errorf("max connections is %d, must not be negative", o.MaxConnections)
	}
	decided := o.decided("")
	for name := range o.Settings {
		if _, ok := decided[name]; ok {
			return fmt.Errorf("setting %s is decided by the program", name)
		}
	}
	return nil
}

// decided are the settings a caller cannot change.
func (o Options) decided(socketDir string) map[string]string {
	settings := map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": socketDir,
		"unix_socket_permissions": "0700",
	}
	durability := "on"
	if !o.Durable {
		durability = "off"
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		settings[name] = durability
	}
	return settings
}

// arguments is the command line of the server; the folders are as it knows them.
func (o Options) arguments(cluster, socketDir string) []string {
	settings := map[string]string{
		"max_connections":    strconv.Itoa(cmp.Or(o.MaxConnections, DefaultMaxConnections)),
		"shared_buffers":     cmp.Or(o.SharedBuffers, DefaultSharedBuffers),
		"max_wal_size":       "4GB",
		"checkpoint_timeout": "15min",
		"timezone":           "UTC",
		"log_timezone":       "UTC",
	}
	maps.Copy(settings, o.Settings)
	maps.Copy(settings, o.decided(socketDir))

	args := []string{"-D", cluster}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}
