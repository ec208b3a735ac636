// Package store keeps documents, their graphs and ingests in the Postgres
// schema corpus. It holds all the SQL of the service.
//
// What becomes of a file is decided by package ingest; the one rule that must
// be decided under a lock, whether a document has changed, is a function of
// package document that the store calls.
package store
