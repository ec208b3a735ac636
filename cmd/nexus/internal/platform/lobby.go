package platform

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"nexus.internal/libs/metrics"
	"nexus.internal/libs/run"
	"nexus.internal/services/gateway"
)

// leaveWithin bounds how long answers of the lobby may take to be read.
const leaveWithin = 2 * time.Second

// lobby is the listener of the REST API. Until it is handed to the gateway it
// answers by itself: the process is alive and not ready.
type lobby struct {
	*net.TCPListener
	// leave ends the answers of the lobby; connections that nobody has taken yet
	// stay.
	leave func()
}

// openLobby listens on address. waitingFor says what the start waits for.
func openLobby(ctx context.Context, address string, waitingFor func() string, measured *metrics.Provider) (*lobby, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP: %w; choose another address with NEXUS_HTTP_ADDR", err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("listen for HTTP: %s is not a TCP address", address)
	}
	server := &http.Server{
		Handler: gateway.Starting(waitingFor, measured), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	// Whoever asks again must find the gateway.
	server.SetKeepAlivesEnabled(false)
	served := make(chan struct{})
	go func() {
		defer close(served)
		// It ends when the lobby is left, whatever it says.
		_ = server.Serve(interruptible{tcp})
	}()
	return &lobby{TCPListener: tcp, leave: sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-served
		_ = tcp.SetDeadline(time.Time{})
	})}, nil
}

// component hands the listener over when everything but the gateway's server has
// started. Connections that come in between wait.
func (l *lobby) component() run.Component {
	return run.Func("lobby", func(ctx context.Context, ready func()) error {
		l.leave()
		ready()
		<-ctx.Done()
		return nil
	})
}

// Close implements net.Listener.
func (l *lobby) Close() error {
	l.leave()
	return l.TCPListener.Close()
}

// interruptible ends its Accept when it is closed, and keeps the listener open.
type interruptible struct{ *net.TCPListener }

// Close implements net.Listener.
func (i interruptible) Close() error { return i.SetDeadline(time.Unix(1, 0)) }
