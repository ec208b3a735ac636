// Package objectstore keeps the raw bytes of documents in a folder, under their
// checksum. What is stored once never changes.
//
// It knows nothing of documents: which checksum belongs to which one is kept by
// package store.
package objectstore
