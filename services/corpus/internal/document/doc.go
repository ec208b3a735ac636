// Package document says what a document is: how it is identified, which other
// documents it belongs with, and when its graph agrees with it.
//
// It knows no files and no database: package source finds the files, package
// ingest makes documents of them, package store keeps them.
package document
