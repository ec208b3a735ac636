// Package document reads the text of a document from the corpus service, part by
// part, and says in clear sentences why a document cannot be analysed.
//
// What is done with the text does not belong here.
package document
