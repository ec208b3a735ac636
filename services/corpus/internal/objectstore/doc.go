// Package objectstore keeps the raw bytes of documents, in a folder or in a bucket
// behind an S3 API, under their checksum. What is stored once never changes.
//
// It knows nothing of documents: which checksum belongs to which one is kept by
// package store.
package objectstore
