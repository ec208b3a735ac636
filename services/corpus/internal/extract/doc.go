// Package extract makes the content of a document of a file's bytes: its text, and
// its segments, by modality.
//
// The bytes are a stranger's: what is wrong with them is a Problem of that one file,
// and a parser that panics makes one too.
package extract
