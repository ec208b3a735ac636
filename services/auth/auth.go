// Package auth is the service that owns keys, roles and features: it answers who
// a key belongs to and which features are open, signs tokens, makes the changes
// that admins ask for, and seeds the bootstrap keys. Nothing else reads or
// writes keys.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/libs/token"
	"nexus.internal/services/auth/internal/callout"
	"nexus.internal/services/auth/internal/feature"
	"nexus.internal/services/auth/internal/keyring"
	"nexus.internal/services/auth/internal/keys"
	"nexus.internal/services/auth/internal/session"
	"nexus.internal/services/auth/internal/store"
)

// Config are the settings of the service.
type Config struct {
	Environment      string `env:"ENVIRONMENT" envDefault:"dev" doc:"dev, test or prod."`
	BootstrapEnabled *bool  `env:"BOOTSTRAP_KEYS_ENABLED" doc:"Seed the four bootstrap keys at start. Default: true in dev and test, false in prod."`
	ViewerKey        string `env:"BOOTSTRAP_VIEWER_KEY" envDefault:"nexus-dev-viewer-key" doc:"The bootstrap key of dev-viewer."`
	OperatorKey      string `env:"BOOTSTRAP_OPERATOR_KEY" envDefault:"nexus-dev-operator-key" doc:"The bootstrap key of dev-operator."`
	ResearcherKey    string `env:"BOOTSTRAP_RESEARCHER_KEY" envDefault:"nexus-dev-researcher-key" doc:"The bootstrap key of dev-researcher."`
	AdminKey         string `env:"BOOTSTRAP_ADMIN_KEY" envDefault:"nexus-dev-admin-key" doc:"The bootstrap key of dev-admin."`
}

// minKey is the shortest bootstrap key allowed, in characters.
const minKey = 16

func (c Config) production() bool { return c.Environment == "prod" }

// SeedsKeys reports whether the bootstrap keys are seeded.
func (c Config) SeedsKeys() bool {
	if c.BootstrapEnabled != nil {
		return *c.BootstrapEnabled
	}
	return !c.production()
}

// BootstrapKey is a seeded key in the clear.
type BootstrapKey struct {
	Owner, Role, Key, Setting string
	Raw                       bool
}

// BootstrapKeys lists the keys that are seeded when SeedsKeys.
func (c Config) BootstrapKeys() []BootstrapKey {
	return []BootstrapKey{
		{"dev-viewer", string(identity.Viewer), c.ViewerKey, "NEXUS_BOOTSTRAP_VIEWER_KEY", false},
		{"dev-operator", string(identity.Operator), c.OperatorKey, "NEXUS_BOOTSTRAP_OPERATOR_KEY", false},
		{"dev-researcher", string(identity.Researcher), c.ResearcherKey, "NEXUS_BOOTSTRAP_RESEARCHER_KEY", true},
		{"dev-admin", string(identity.Admin), c.AdminKey, "NEXUS_BOOTSTRAP_ADMIN_KEY", true},
	}
}

// isDefault reports whether a key is one that everybody can read in the
// documentation.
func isDefault(key string) bool {
	for _, role := range identity.Roles() {
		if key == "nexus-dev-"+string(role)+"-key" {
			return true
		}
	}
	return false
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	switch c.Environment {
	case "dev", "test", "prod":
	default:
		errs = append(errs, fmt.Errorf("NEXUS_ENVIRONMENT is %q: want dev, test or prod", c.Environment))
	}
	if !c.SeedsKeys() {
		return errors.Join(errs...)
	}
	seen := map[string]string{}
	for _, k := range c.BootstrapKeys() {
		switch bad := config.Secret(k.Setting, k.Key, minKey, identity.MaxKey); {
		case bad != nil:
			errs = append(errs, bad)
		case seen[k.Key] != "":
			errs = append(errs, fmt.Errorf("%s is the same as %s: each key needs a value of its own", k.Setting, seen[k.Key]))
		case c.production() && isDefault(k.Key):
			errs = append(errs, fmt.Errorf("%s is the development default, which anybody knows: set a key of your own in prod", k.Setting))
		}
		seen[k.Key] = k.Setting
	}
	return errors.Join(errs...)
}

// Deps are what the service needs from the process.
type Deps struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	DB     *pg.DB
	Log    zerolog.Logger
	Tracer trace.TracerProvider
	// Metrics is what is measured; nil measures nothing.
	Metrics *metrics.Set
	Now     func() time.Time
	// Tokens says how tokens are signed.
	Tokens token.Settings
	// Callout lets clients into NATS by their API keys; nil leaves that to
	// whoever runs the server.
	Callout *Callout
}

// Callout is what answering a NATS server's auth callouts takes.
type Callout struct {
	// NC is a connection to the AUTH account.
	NC *nats.Conn
	// Issuer signs answers and XKey opens questions.
	Issuer, XKey nkeys.KeyPair
	// System is a connection that may end other connections; nil where a
	// connection of an ended key lives on until its next login.
	System *nats.Conn
}

// Service is the auth service.
type Service struct {
	cfg        Config
	store      *store.Store
	components []run.Component
}

// Health is what the service asks itself before it says that it can work.
func (s *Service) Health(ctx context.Context) error { return s.store.Ping(ctx) }

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Service, error) {
	signer, err := token.NewSigner(deps.Tokens, deps.Now)
	if err != nil {
		return nil, err
	}
	pub := bus.NewPublisher(deps.JS, "auth", deps.Now)
	box := outbox.New(deps.DB, "auth", pub, deps.Log)
	box.Measure(deps.Metrics)
	st := store.New(deps.DB, box)
	s := &Service{cfg: cfg, store: st}
	verifier := keys.New(st, deps.Log, deps.Now)
	rpc := bus.NewRPC(deps.NC, deps.Log, deps.Tracer, "auth")
	rpc.Measure(deps.Metrics)
	rpc.Health(st.Ping)
	rpc.Passing(pg.IsAway)
	answer(rpc, verifier, keyring.New(st, deps.Now), session.New(st, signer, deps.Now), feature.New(st, deps.Now))
	s.components = []run.Component{run.Func("bootstrap keys", s.seed), box, verifier, rpc}
	if c := deps.Callout; c != nil {
		s.components = append(s.components, callout.New(callout.Deps{
			NC: c.NC, Keys: callout.Keys{Issuer: c.Issuer, XKey: c.XKey}, Verifier: verifier, Publisher: pub, Log: deps.Log, Now: deps.Now, Metrics: deps.Metrics,
			Events: deps.NC, System: c.System,
		}))
	}
	return s, nil
}

func answer(rpc *bus.RPC, verifier *keys.Verifier, ring *keyring.Keyring, sessions *session.Sessions, switches *feature.Switches) {
	bus.Handle(rpc, contract.RPCAuthVerify, verifier.Verify)
	bus.Handle(rpc, contract.RPCAuthOwner, verifier.Owner)
	bus.Handle(rpc, contract.RPCAuthState, verifier.State)
	bus.Handle(rpc, contract.RPCAuthKeys, ring.List)
	bus.Handle(rpc, contract.RPCAuthKey, ring.Get)
	bus.Handle(rpc, contract.RPCAuthKeyCreate, ring.Create)
	bus.Handle(rpc, contract.RPCAuthKeyUpdate, ring.Update)
	bus.Handle(rpc, contract.RPCAuthKeyRotate, ring.Rotate)
	bus.Handle(rpc, contract.RPCAuthToken, sessions.Issue)
	bus.Handle(rpc, contract.RPCAuthRefresh, sessions.Refresh)
	bus.Handle(rpc, contract.RPCAuthKeySet, sessions.KeySet)
	bus.Handle(rpc, contract.RPCAuthFeatures, switches.List)
	bus.Handle(rpc, contract.RPCAuthFeatureUpdate, switches.Update)
	bus.Handle(rpc, contract.RPCAuthAllowed, switches.Allowed)
}

// Components lists the parts of the service in the order they start.
func (s *Service) Components() []run.Component { return s.components }

// seed makes sure the bootstrap keys exist before anybody asks for one. In
// production a key that was disabled stays disabled: a restart must not undo a
// revocation.
func (s *Service) seed(ctx context.Context, ready func()) error {
	if s.cfg.SeedsKeys() {
		for _, k := range s.cfg.BootstrapKeys() {
			b := store.Bootstrap{Owner: k.Owner, Role: identity.Role(k.Role), RawModeEnabled: k.Raw, KeyHash: identity.HashKey(k.Key)}
			if err := s.store.Seed(ctx, b, !s.cfg.production()); err != nil {
				return err
			}
		}
	}
	ready()
	<-ctx.Done()
	return nil
}
