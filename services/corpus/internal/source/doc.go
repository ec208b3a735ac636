// Package source finds and reads the files of the corpus, all of them inside
// one folder, the corpus root. Symbolic links are resolved before it is decided
// whether a path is inside, and files are opened through a handle on the root,
// so that a link put in place later does not lead out of it either.
//
// What the bytes mean belongs to packages modality and plaintext.
package source
