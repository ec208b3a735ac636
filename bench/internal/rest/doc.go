// Package rest drives the REST API of a nexus with as little work of its own as
// it can: the load program shares the machine with what it measures.
//
// What the figures mean, and how many goroutines ask, is up to the caller.
package rest
