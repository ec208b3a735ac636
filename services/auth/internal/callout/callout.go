// Package callout answers the NATS server's question who a client is: an API
// key becomes a user of the EDGE account with the rights of the key's role, or,
// where its role is plugin, of the PLUGIN account.
//
// Our own services do not come here: the server knows their keys.
package callout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/metrics"
)

const (
	// subject is where the server asks.
	subject = "$SYS.REQ.USER.AUTH"
	// headerXKey carries the server's public key of the encryption.
	headerXKey = "Nats-Server-Xkey"
	// queue lets one of several replicas answer.
	queue = "nexus-auth"
	// Clients and plugins are let into these accounts, and nobody into any other.
	// Whoever holds the issuer's key could name any, so it is not taken from anywhere.
	clientAccount = "EDGE"
	pluginAccount = "PLUGIN"
	// validFor bounds a connection: the server ends it, the client comes back,
	// and a key that was disabled meanwhile is refused.
	validFor = 10 * time.Minute
	// answerWithin is less than the patience of the server, which is 1.8 s.
	answerWithin = 1500 * time.Millisecond
	// maxSecret is the longest key looked at, in bytes.
	maxSecret = 512
	// endpoint is what the audit trail calls a login here.
	endpoint = "NATS CONNECT"
	// door is what it is called where decisions are counted.
	door = "nats"
)

// Verifier answers who a key belongs to.
type Verifier interface {
	Verify(ctx context.Context, req contract.VerifyRequest) (contract.VerifyReply, error)
}

// Keys are the secrets of the callout.
type Keys struct {
	// Issuer signs the answers.
	Issuer nkeys.KeyPair
	// XKey opens the questions, which carry the client's secret.
	XKey nkeys.KeyPair
}

// Publisher publishes events.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Deps are what the service needs.
type Deps struct {
	// NC is a connection to the AUTH account.
	NC        *nats.Conn
	Keys      Keys
	Verifier  Verifier
	Publisher Publisher
	Log       zerolog.Logger
	Now       func() time.Time
	// Metrics is what is measured; nil measures nothing.
	Metrics *metrics.Set
	// Events is where changes of keys are heard.
	Events *nats.Conn
	// System may end connections; nil ends none.
	System *nats.Conn
}

// Service is a run.Component.
type Service struct {
	nc     *nats.Conn
	keys   Keys
	verify Verifier
	pub    Publisher
	log    zerolog.Logger
	now    func() time.Time
	events *nats.Conn
	guests *guests
	failed *failures
	// decided counts who was let in and who was not.
	decided *metrics.Counter
}

// New makes the service.
func New(d Deps) *Service {
	s := &Service{
		nc: d.NC, keys: d.Keys, verify: d.Verifier, pub: d.Publisher, log: d.Log, now: d.Now, events: d.Events,
		guests: newGuests(d.System, d.Log, d.Now), failed: newFailures(d.Now), decided: d.Metrics.Counter(metrics.AuthDecisions),
	}
	s.decided.Expect(door, contract.WhatAuthSuccess)
	s.decided.Expect(door, contract.WhatAuthFailure)
	return s
}

// Name implements run.Component.
func (s *Service) Name() string { return "nats auth callout" }

// Run implements run.Component.
func (s *Service) Run(ctx context.Context, ready func()) error {
	base := context.WithoutCancel(ctx)
	changes, err := s.events.Subscribe(contract.KeyEvents, bus.Guarded(s.log, s.guests.heard))
	if err != nil {
		return fmt.Errorf("listen for changes of keys: %w", err)
	}
	defer func() { _ = changes.Unsubscribe() }()
	sub, err := s.nc.QueueSubscribe(subject, queue, func(m *nats.Msg) {
		go bus.Guarded(s.log, func(m *nats.Msg) { s.answer(base, m) })(m)
	})
	if err != nil {
		return fmt.Errorf("listen for auth callouts: %w", err)
	}
	if err := s.nc.Flush(); err != nil {
		return errors.Join(fmt.Errorf("listen for auth callouts: %w", err), sub.Unsubscribe())
	}
	ready()
	<-ctx.Done()
	if err := sub.Drain(); err != nil && !s.nc.IsClosed() {
		return fmt.Errorf("stop listening for auth callouts: %w", err)
	}
	return nil
}

// answer says nothing to what does not come from a server that encrypts: the
// question is then not one, or somebody listens.
func (s *Service) answer(ctx context.Context, m *nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	serverKey := m.Header.Get(headerXKey)
	request, err := s.open(m.Data, serverKey)
	if err != nil {
		s.log.Warn().Err(err).Msg("an auth callout was not answered")
		return
	}
	out, err := s.seal(s.decide(ctx, request), serverKey)
	if err == nil {
		err = m.Respond(out)
	}
	if err != nil {
		s.log.Error().Err(err).Msg("an auth callout could not be answered")
	}
}

func (s *Service) open(data []byte, serverKey string) (*jwt.AuthorizationRequestClaims, error) {
	if serverKey == "" {
		return nil, errors.New("the request is not encrypted")
	}
	plain, err := s.keys.XKey.Open(data, serverKey)
	if err != nil {
		return nil, fmt.Errorf("decrypt the request: %w", err)
	}
	request, err := jwt.DecodeAuthorizationRequestClaims(string(plain))
	if err != nil {
		return nil, fmt.Errorf("decode the request: %w", err)
	}
	if request.Issuer != request.Server.ID {
		return nil, errors.New("the request is not signed by the server it names")
	}
	return request, nil
}

func (s *Service) seal(response *jwt.AuthorizationResponseClaims, serverKey string) ([]byte, error) {
	encoded, err := response.Encode(s.keys.Issuer)
	if err != nil {
		return nil, fmt.Errorf("sign the answer: %w", err)
	}
	sealed, err := s.keys.XKey.Seal([]byte(encoded), serverKey)
	if err != nil {
		return nil, fmt.Errorf("encrypt the answer: %w", err)
	}
	return sealed, nil
}

// decide lets a client in, or refuses it without saying why.
func (s *Service) decide(ctx context.Context, request *jwt.AuthorizationRequestClaims) *jwt.AuthorizationResponseClaims {
	response := jwt.NewAuthorizationResponseClaims(request.UserNkey)
	response.Audience = request.Server.ID
	token, err := s.admit(ctx, request)
	if err != nil {
		s.log.Info().Err(err).Str("address", request.ClientInformation.Host).Msg("a NATS client was refused")
		response.Error = "Missing or invalid API key"
		return response
	}
	s.log.Debug().Str("address", request.ClientInformation.Host).Msg("a NATS client was let in")
	response.Jwt = token
	return response
}

func (s *Service) admit(ctx context.Context, request *jwt.AuthorizationRequestClaims) (string, error) {
	secret := request.ConnectOptions.Token
	if secret == "" {
		secret = request.ConnectOptions.Password
	}
	if secret == "" || len(secret) > maxSecret {
		return "", errors.New("no key was presented")
	}
	hash := identity.HashKey(secret)
	who, err := s.check(ctx, hash, request.ClientInformation.Host)
	if err != nil {
		return "", err
	}
	claims := jwt.NewUserClaims(request.UserNkey)
	claims.Name = who.Owner
	claims.Audience = clientAccount
	if identity.Role(who.Role) == identity.Plugin {
		claims.Audience = pluginAccount
	}
	until := s.now().Add(validFor)
	if who.ExpiresAt != nil && who.ExpiresAt.Before(until) {
		until = *who.ExpiresAt
	}
	claims.Expires = until.Unix()
	claims.Permissions = permissions(who)
	token, err := claims.Encode(s.keys.Issuer)
	if err != nil {
		return "", fmt.Errorf("sign the user: %w", err)
	}
	s.guests.add(who.KeyID, guest{server: request.Server.ID, client: request.ClientInformation.ID, until: until})
	return token, nil
}

// check answers who a key belongs to. Failures that are too many for their address
// wait for their answer, and are not told: they could fill the audit trail.
func (s *Service) check(ctx context.Context, hash, address string) (contract.VerifyReply, error) {
	done, ok := s.failed.check(ctx)
	if !ok {
		return contract.VerifyReply{}, errors.New("too many keys are being checked")
	}
	who, err := s.verify.Verify(ctx, contract.VerifyRequest{KeyHash: hash})
	done()
	if fault.KindOf(err) == fault.Unauthenticated && s.failed.count(address) {
		s.failed.hold(ctx)
		return who, err
	}
	s.tell(ctx, hash, who, err, address)
	return who, err
}

// tell publishes who was let in, or was not. A broker that is away must not keep
// anybody out, so a failure is only logged.
func (s *Service) tell(ctx context.Context, hash string, who contract.VerifyReply, refused error, address string) {
	what, actor, word := contract.WhatAuthSuccess, who.Owner, who.Role
	switch {
	case refused == nil:
	case fault.KindOf(refused) == fault.Unauthenticated:
		what, actor, word = contract.WhatAuthFailure, "anonymous", "anonymous"
	default:
		return
	}
	s.decided.Add(1, door, what)
	data, err := json.Marshal(contract.AuthDecision{KeyHashPrefix: identity.HashPrefix(hash), Role: who.Role, Endpoint: endpoint, Address: address})
	if err == nil {
		var message bus.Message
		message, err = bus.EventMessage(contract.AreaAuth, what, word, contract.Event{
			ID: uuid.NewString(), Type: contract.EventType(contract.AreaAuth, what), Time: s.now().UTC(), Source: "nexus.auth", Actor: actor, Data: data,
		})
		if err == nil {
			err = s.pub.Publish(ctx, message)
		}
	}
	if err != nil {
		s.log.Error().Err(err).Msg("an auth event could not be published")
	}
}

// permissions of a client: everybody may watch jobs, what became of their own
// messages, and answers to themselves; operators and above may submit in their
// own name. Who logged in from where, and changes of keys, are for admins.
func permissions(who contract.VerifyReply) jwt.Permissions {
	if identity.Role(who.Role) == identity.Plugin {
		return pluginPermissions(who.Owner)
	}
	p := jwt.Permissions{}
	p.Sub.Allow.Add(contract.PatternJobEvents, contract.RejectionPattern(who.Owner), contract.InboxPattern(who.Owner))
	if identity.Role(who.Role).Allows(identity.Admin) {
		p.Sub.Allow.Add(contract.PatternEvents)
	}
	if identity.Role(who.Role).Allows(identity.Operator) {
		p.Pub.Allow.Add(contract.SubmitPattern(who.Owner))
	} else {
		p.Pub.Deny.Add(">")
	}
	return p
}

// answerPluginWithin is how long a plugin may answer a call.
const answerPluginWithin = 11 * time.Minute

// pluginPermissions let a plugin be called under its owner's name, tell of itself
// as NATS micro services do, and answer each call once. It may say nothing of its
// own accord.
func pluginPermissions(owner string) jwt.Permissions {
	p := jwt.Permissions{Resp: &jwt.ResponsePermission{MaxMsgs: 1, Expires: answerPluginWithin}}
	p.Pub.Deny.Add(">")
	p.Sub.Allow.Add("nexus.plugin." + owner)
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		p.Sub.Allow.Add("$SRV."+verb, "$SRV."+verb+"."+owner, "$SRV."+verb+"."+owner+".*")
	}
	return p
}
