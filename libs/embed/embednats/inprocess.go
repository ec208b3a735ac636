package embednats

import "github.com/nats-io/nats.go"

// InProcess makes a connection use this server without the network. It
// overrides the address the connection was given.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.nats) }
