// Package testkit gives tests the real servers: a Postgres database of their
// own, migrated, and a NATS server of their own with every stream. It is
// imported by tests only.
//
// Fakes do not belong here: only the clock and the world outside are faked,
// by the tests that need it.
package testkit
