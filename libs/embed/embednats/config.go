package embednats

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

// MaxPayload is the largest message the server takes, in bytes, headers
// included.
const MaxPayload = 1 << 20

// noBound is a store larger than any disk, in bytes.
const noBound = 1 << 50

// defaultListen is rendered for a server that only this process uses: whoever
// starts the text stand-alone gets a door on this machine, not on all networks.
const defaultListen = "127.0.0.1:4222"

// Options describe one server.
type Options struct {
	// Listen is the door for clients as host:port; port -1 picks a free one. ""
	// means none: only Connect reaches the server.
	Listen string
	// Monitor is the address of the HTTP monitoring pages as host:port. "" means
	// none. They show subjects and connections without asking who looks.
	Monitor string
	// Name identifies the server, uniquely in a cluster; "" means "nexus".
	Name string
	// Cluster makes the server a member of a cluster. Nil means that it stands alone.
	Cluster *Cluster
	// TLS is what the server proves itself with, to clients over the network and to
	// other members. Nil means that they talk in the clear.
	TLS *TLS
	// StoreDir is where JetStream keeps its files; it is created if needed. ""
	// means a temporary folder that Stop removes.
	StoreDir string
	// Topology says who may connect. Nil means anybody, with one account: for
	// tests.
	Topology *Topology
	// MaxStore bounds JetStream on disk, in bytes; 0 means that only the limits of
	// the streams do. A bound that follows the free disk would refuse messages and
	// streams after others have taken space.
	MaxStore int64
	// SyncAlways makes JetStream flush to the disk before it acknowledges. It
	// costs most of the speed and is what a single server needs to keep an
	// acknowledged message through a power cut.
	SyncAlways bool
	// SyncInterval is how often JetStream flushes otherwise; 0 means the
	// server's own default, two minutes.
	SyncInterval time.Duration
	// Log receives the server's warnings and errors.
	Log zerolog.Logger
}

//go:embed nats.conf.tmpl
var configTemplate string

// Config renders the options as the text of a nats-server configuration file,
// the very one that Start loads. Log is not part of it, nor are the routes of a
// cluster, which carry its secret.
func (o Options) Config() (string, error) {
	if err := o.validate(); err != nil {
		return "", fmt.Errorf("configure NATS: %w", err)
	}
	if o.Listen == "" {
		o.Listen = defaultListen
	}
	if o.Name == "" {
		o.Name = "nexus"
	}
	if o.MaxStore == 0 {
		o.MaxStore = noBound
	}
	page, err := template.New("nats.conf").Funcs(templateFuncs()).Parse(configTemplate)
	if err != nil {
		return "", fmt.Errorf("parse the NATS configuration's template: %w", err)
	}
	var text strings.Builder
	if err := page.Execute(&text, o); err != nil {
		return "", fmt.Errorf("render the NATS configuration: %w", err)
	}
	return text.String(), nil
}

func (o Options) validate() error {
	var problems []error
	for _, address := range []string{o.Listen, o.Monitor} {
		if err := checkAddress(address); err != nil {
			problems = append(problems, err)
		}
	}
	if !filepath.IsAbs(o.StoreDir) {
		problems = append(problems, fmt.Errorf("store folder %q must be an absolute path", o.StoreDir))
	}
	if strings.ContainsAny(o.Name, " \t\r\n") {
		problems = append(problems, fmt.Errorf("name %q must not contain spaces", o.Name))
	}
	if o.MaxStore < 0 || o.SyncInterval < 0 {
		problems = append(problems, errors.New("max store and sync interval must not be negative"))
	}
	if o.SyncAlways && o.SyncInterval != 0 {
		problems = append(problems, errors.New("choose sync always or a sync interval, not both"))
	}
	if o.Cluster != nil {
		problems = append(problems, o.Cluster.validate(o.Name, o.Listen))
	}
	if o.TLS != nil {
		problems = append(problems, o.TLS.validate(o.Cluster != nil))
	}
	if o.Topology != nil {
		problems = append(problems, o.Topology.Validate())
	}
	return errors.Join(problems...)
}

// checkAddress accepts host:port with a port from -1 (any free one) to 65535.
func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: want host:port", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < -1 || n == 0 || n > 65535 {
		return fmt.Errorf("address %q: want a port from 1 to 65535, or -1 for any free one", address)
	}
	return nil
}

func templateFuncs() template.FuncMap {
	word := func(s string) func() string { return func() string { return s } }
	return template.FuncMap{
		"sys": word(AccountSystem), "auth": word(AccountAuth), "nexus": word(AccountNexus),
		"edge": word(AccountEdge), "worker": word(AccountWorker), "plugin": word(AccountPlugin),
		"submit": word(contract.PatternSubmit), "events": word(contract.PatternEvents), "plugins": word(contract.PatternPlugins),
		"maxPayload": func() int { return MaxPayload },
		"quote":      quote, "list": quoteAll, "in": usersIn,
	}
}

// quote writes a string as the configuration language reads it. It knows fewer
// escapes than Go, and takes every other character as it is.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

func quoteAll(subjects []string) string {
	quoted := make([]string, len(subjects))
	for i, subject := range subjects {
		quoted[i] = quote(subject)
	}
	return strings.Join(quoted, ", ")
}

func usersIn(t *Topology, account string) []ServiceUser {
	var users []ServiceUser
	for _, user := range t.Users {
		if user.Account == account {
			users = append(users, user)
		}
	}
	return users
}
