// Package seed knows the texts that a new corpus may begin with, and brings them
// under the corpus root.
//
// What becomes of them there, and that they are ingested at all, is the business of
// whoever asks.
package seed
