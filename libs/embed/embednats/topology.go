package embednats

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"nexus.internal/libs/contract"
)

// Accounts of the server. Subjects of one account do not exist in another
// unless they are exported and imported.
const (
	// AccountSystem sees the server itself: connections, statistics, KICK.
	AccountSystem = "SYS"
	// AccountAuth holds the service that answers auth callouts.
	AccountAuth = "AUTH"
	// AccountNexus holds our services and owns JetStream.
	AccountNexus = "NEXUS"
	// AccountEdge holds outsiders that submit jobs and watch events.
	AccountEdge = "EDGE"
	// AccountWorker holds workers that are not ours. Nothing is imported into it
	// yet.
	AccountWorker = "WORKER"
	// AccountPlugin holds plugins that are not ours. Nothing is imported into it; a
	// call reaches it from AccountNexus, and one answer comes back.
	AccountPlugin = "PLUGIN"
)

// Topology is who may connect, and what each may do.
type Topology struct {
	// Users are our own services. Everybody else is decided by the callout.
	Users []ServiceUser
	// Issuer is the public account key that signs the callout's answers.
	// Whoever has its seed can let anybody into any account.
	Issuer string
	// XKey is the public curve key that callout requests are encrypted for:
	// they carry the client's secret.
	XKey string
}

// ServiceUser is one of our services, known by its nkey.
type ServiceUser struct {
	// Name appears in the configuration's comments and in errors.
	Name string
	// PublicKey is the user nkey (U...).
	PublicKey string
	// Account is AccountNexus, AccountAuth or AccountSystem. The others are filled
	// by the callout alone.
	Account string
	// Permissions say what the user may do inside its account.
	Permissions Permissions
}

// Permissions list subjects, with wildcards. What is not allowed is forbidden:
// the zero value allows nothing.
type Permissions struct {
	Publish   Rules
	Subscribe Rules
	// Respond allows one answer, within two minutes, to the reply subject of
	// each message received.
	Respond bool
}

// Rules allow subjects, except those that Deny matches too.
type Rules struct {
	Allow []string
	Deny  []string
}

// Everything is the permission to do anything inside the account.
func Everything() Permissions {
	all := Rules{Allow: []string{">"}}
	return Permissions{Publish: all, Subscribe: all}
}

// Validate returns every mistake in the topology, joined.
func (t *Topology) Validate() error {
	var problems []error
	if !nkeys.IsValidPublicAccountKey(t.Issuer) {
		problems = append(problems, fmt.Errorf("issuer %q is no public account key", t.Issuer))
	}
	if !nkeys.IsValidPublicCurveKey(t.XKey) {
		problems = append(problems, fmt.Errorf("xkey %q is no public curve key", t.XKey))
	}
	names, keys := map[string]bool{}, map[string]bool{}
	callout := false
	for _, user := range t.Users {
		if names[user.Name] || keys[user.PublicKey] {
			problems = append(problems, fmt.Errorf("user %q: its name or key is used twice", user.Name))
		}
		names[user.Name], keys[user.PublicKey] = true, true
		callout = callout || user.Account == AccountAuth
		if err := user.validate(); err != nil {
			problems = append(problems, fmt.Errorf("user %q: %w", user.Name, err))
		}
	}
	if !callout {
		problems = append(problems, errors.New("no user in account "+AccountAuth+": nobody would answer auth callouts"))
	}
	return errors.Join(problems...)
}

func (u ServiceUser) validate() error {
	var problems []error
	if !contract.ValidToken(u.Name) {
		problems = append(problems, fmt.Errorf("want a name of 1 to %d of a-z A-Z 0-9 _ -", contract.MaxToken))
	}
	if !nkeys.IsValidPublicUserKey(u.PublicKey) {
		problems = append(problems, fmt.Errorf("%q is no public user key", u.PublicKey))
	}
	switch u.Account {
	case AccountSystem, AccountAuth, AccountNexus:
	default:
		problems = append(problems, fmt.Errorf("account %q: want %s, %s or %s", u.Account, AccountNexus, AccountAuth, AccountSystem))
	}
	p := u.Permissions
	for _, subjects := range [][]string{p.Publish.Allow, p.Publish.Deny, p.Subscribe.Allow, p.Subscribe.Deny} {
		for _, subject := range subjects {
			if !server.IsValidSubject(subject) {
				problems = append(problems, fmt.Errorf("%q is no subject", subject))
			}
		}
	}
	return errors.Join(problems...)
}
