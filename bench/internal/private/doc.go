// Package private runs a nexus of its own for the load programs, with its own
// Postgres and NATS server, durable as in production, in a folder that goes
// away afterwards.
//
// Nothing here measures anything, and nothing here ends a process that it did
// not start.
package private
