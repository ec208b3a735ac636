// Package natsplugin calls plugins that are other processes, in any language,
// over NATS: a micro service on the subject of the plugin's name.
//
// What a plugin may cost, and whether what it says is believed, is decided in
// package plugin.
package natsplugin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/plugins/internal/plugin"
)

// rememberFor is how long a description is believed. A new version of the plugin
// is noticed by then.
const rememberFor = 15 * time.Second

// Plugin is a plugin at the other end of a subject.
type Plugin struct {
	nc      *nats.Conn
	name    string
	subject string
	now     func() time.Time

	mu        sync.Mutex
	described plugin.Description
	until     time.Time
}

// New makes the plugin of a name. Nobody needs to answer on its subject yet.
func New(nc *nats.Conn, name string, now func() time.Time) (*Plugin, error) {
	subject, err := contract.PluginSubject(name)
	if err != nil {
		return nil, fmt.Errorf("name a plugin: %w", err)
	}
	return &Plugin{nc: nc, name: name, subject: subject, now: now}, nil
}

// Name implements [plugin.Plugin].
func (p *Plugin) Name() string { return p.name }

// Kind implements [plugin.Plugin].
func (p *Plugin) Kind() contract.PluginKind { return contract.PluginNATS }

// Describe implements [plugin.Plugin].
func (p *Plugin) Describe(ctx context.Context) (plugin.Description, error) {
	p.mu.Lock()
	d, fresh := p.described, p.now().Before(p.until)
	p.mu.Unlock()
	if fresh {
		return d, nil
	}
	return p.ask(ctx)
}

func (p *Plugin) ask(ctx context.Context) (plugin.Description, error) {
	call, err := plugin.EncodeDescribe()
	if err != nil {
		return plugin.Description{}, err
	}
	body, err := p.request(ctx, call)
	if err != nil {
		return plugin.Description{}, err
	}
	d, err := plugin.DecodeDescription(body)
	if err != nil {
		return plugin.Description{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.described, p.until = d, p.now().Add(rememberFor)
	return d, nil
}

// Health implements [plugin.Plugin]: a plugin that describes itself is there.
func (p *Plugin) Health(ctx context.Context) error {
	_, err := p.ask(ctx)
	return err
}

// Run implements [plugin.Plugin].
func (p *Plugin) Run(ctx context.Context, r plugin.Request) (plugin.Output, error) {
	if len(r.Text.Raw()) > contract.MaxMessage {
		return plugin.Output{}, tooLong(len(r.Text.Raw()))
	}
	call, err := plugin.EncodeRun(r)
	if err != nil {
		return plugin.Output{}, err
	}
	if len(call) > contract.MaxMessage {
		return plugin.Output{}, tooLong(len(r.Text.Raw()))
	}
	body, err := p.request(ctx, call)
	if err != nil {
		return plugin.Output{}, err
	}
	return plugin.DecodeAnswer(body)
}

func tooLong(size int) error {
	return plugin.Refusal(fmt.Sprintf("a text of %d bytes does not fit the message that would carry it", size))
}

func (p *Plugin) request(ctx context.Context, call []byte) ([]byte, error) {
	msg := nats.NewMsg(p.subject)
	msg.Data = call
	if deadline, ok := ctx.Deadline(); ok {
		msg.Header.Set(contract.HeaderTimeout, strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10))
	}
	telemetry.InjectHeader(ctx, msg.Header)
	answer, err := p.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errors.New("nobody answers on " + p.subject)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, errors.New("NATS does not carry the call now")
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return nil, fmt.Errorf("error %s: %s", contract.Cut(code, contract.MaxToken), contract.Cut(answer.Header.Get(micro.ErrorHeader), contract.MaxEventText))
	}
	return answer.Data, nil
}
