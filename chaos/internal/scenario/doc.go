// Package scenario breaks a Nexus in one way at a time, under load, and holds
// what came of it against what Nexus promises.
package scenario
