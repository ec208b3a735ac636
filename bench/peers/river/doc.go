// Command river measures River (github.com/riverqueue/river) with the same jobs
// and the same Postgres as a nexus, and writes one figure a line. bench/load
// starts it; it needs a database that is its own.
package main
