// Package plaintext reads text files: it decodes their bytes, finds conflict
// markers, a title, and the segments kept in a document's provenance.
//
// Splitting a text into atoms belongs to package atom; files and paths to
// package source. Everything here is a pure function of the bytes.
package plaintext
