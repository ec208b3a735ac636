package embednats

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrStandAlone says that the store folder holds streams of a server that stood
// alone. A cluster does not know them and would delete them.
var ErrStandAlone = errors.New("the store folder holds streams of a single server, which a cluster would delete")

// routeUser is the name under which members of a cluster know each other.
const routeUser = "nexus-route"

// Cluster makes a server a member of a cluster.
type Cluster struct {
	// Name is the cluster's, the same for all members.
	Name string
	// Listen is where the other members connect to, as host:port.
	Listen string
	// Routes are the addresses of all members as host:port, of this one too. How many
	// there are is how many the members wait for before they choose a leader.
	Routes []string
	// Secret is what members prove to each other. It is kept in memory alone.
	Secret string
}

// RouteSecret is the secret of a cluster whose members share the keys.
func (k *Keys) RouteSecret() string {
	mac := hmac.New(sha256.New, k.Issuer.Seed)
	mac.Write([]byte("nexus: routes of the NATS cluster"))
	return hex.EncodeToString(mac.Sum(nil))
}

func (c *Cluster) validate(server, door string) error {
	var problems []error
	if c.Name == "" || strings.ContainsAny(c.Name, " \t\r\n") {
		problems = append(problems, fmt.Errorf("cluster name %q: want one without spaces", c.Name))
	}
	if server == "" {
		problems = append(problems, errors.New("a member of a cluster needs a name of its own"))
	}
	if door == "" {
		// It opens its routes after the door for clients.
		problems = append(problems, errors.New("a member of a cluster needs an address for clients"))
	}
	if c.Listen == "" {
		problems = append(problems, errors.New("a member of a cluster needs an address for the others"))
	}
	if len(c.Routes) == 0 {
		problems = append(problems, errors.New("a member of a cluster needs the addresses of all members"))
	}
	for _, address := range append([]string{c.Listen}, c.Routes...) {
		if err := checkAddress(address); err != nil {
			problems = append(problems, err)
		}
	}
	if c.Secret == "" {
		problems = append(problems, errors.New("a member of a cluster needs the secret of the cluster"))
	}
	return errors.Join(problems...)
}

// join adds what no file may hold: the secret, and the routes that carry it.
func (c *Cluster) join(loaded *server.Options) {
	loaded.Cluster.Username, loaded.Cluster.Password = routeUser, c.Secret
	loaded.Routes = nil
	for _, address := range c.Routes {
		loaded.Routes = append(loaded.Routes, &url.URL{Scheme: "nats-route", Host: address, User: url.UserPassword(routeUser, c.Secret)})
	}
}

// checkDoor refuses an address for members that cannot be had: the server would wait
// for it without end.
func (c *Cluster) checkDoor() error {
	l, err := net.Listen("tcp", c.Listen) //nolint:noctx // it takes no time
	if err != nil {
		return fmt.Errorf("listen for the other members: %w", err)
	}
	return l.Close()
}

// checkMemberStore refuses a store folder with streams that no cluster knows.
func checkMemberStore(dir string) error {
	streams, err := filepath.Glob(filepath.Join(escapeGlob(dir), server.JetStreamStoreDir, "*", "streams", "*"))
	if err != nil {
		return fmt.Errorf("look for streams: %w", err)
	}
	if len(streams) == 0 {
		return nil
	}
	meta, err := filepath.Glob(filepath.Join(escapeGlob(dir), server.JetStreamStoreDir, "*", "_js_", "_meta_"))
	if err != nil {
		return fmt.Errorf("look for the cluster's record: %w", err)
	}
	if len(meta) > 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: start this member on an empty folder, and run `nexus rebuild-broker` once the cluster is there", ErrStandAlone, dir)
}

// escapeGlob has a path match itself alone.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Missing says in words what keeps the server from taking messages, or from being
// one that the others of its cluster can do without; empty when nothing does.
func (s *Server) Missing() string {
	if !s.nats.JetStreamEnabled() {
		return "JetStream is off, because its disk cannot be written"
	}
	if s.clustered && s.nats.NumRoutes() == 0 {
		return "no other member of the cluster is connected"
	}
	if s.clustered && s.nats.Healthz(&server.HealthzOptions{JSMetaOnly: true}).Status != "ok" {
		return "the cluster has no leader, or this member has not caught up with it"
	}
	for _, e := range s.nats.Healthz(&server.HealthzOptions{Details: true}).Errors {
		switch {
		case e.Stream != "" && s.clustered:
			return "stream " + e.Stream + " has not caught up with the other members"
		case e.Stream != "":
			return "stream " + e.Stream + " takes no messages"
		default:
			return "JetStream does not answer"
		}
	}
	return ""
}
