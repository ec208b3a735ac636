// Package cluster runs Nexus as an installation would: a Postgres server, a NATS
// server and every service, each a process of its own that is started again when
// it ends, and that can be killed, frozen and stopped.
//
// It signals processes it started, and no others.
package cluster
