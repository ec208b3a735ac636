// Package pdf reads the text and the number of pages of PDF files.
//
// A PDF is a program of strangers, and every reader of them has been broken by
// some. So PDFium runs as WebAssembly, a fresh instance for each file, within a
// limit of memory and of time: what it does with a hostile file stays in there.
package pdf
