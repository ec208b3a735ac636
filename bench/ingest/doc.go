// Command ingest measures how fast files become documents and atoms.
//
// It starts a nexus of its own and has it ingest, over REST, real files of this
// machine with some PDFs, images and sounds that it makes, and then large texts,
// beside what Postgres takes to COPY the same atoms. INGEST.md, in the folder
// above, holds what it found.
package main
