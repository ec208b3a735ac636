// Package store is all the SQL of the audit service. It only ever adds rows
// and reads them.
//
// What is worth keeping is decided elsewhere.
package store
