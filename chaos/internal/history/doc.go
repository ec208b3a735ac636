// Package history is what happened in one run, as clients and tables showed it:
// one record for each thing, in a file of JSON lines.
//
// What the records must add up to is decided in package checker.
package history
