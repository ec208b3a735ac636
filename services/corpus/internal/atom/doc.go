// Package atom splits a text into atoms: the pieces of five levels, from single
// characters to paragraphs, that make up the graph of a document.
//
// Everything here is a pure function of the text and works on slices of it, so
// that a long text is never held twice. Storing atoms belongs to package store;
// reading files to package plaintext.
package atom
