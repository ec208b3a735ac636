// Package rpc answers what other services ask about the corpus. It checks
// requests, reads what they ask for from the store, and keeps every answer
// within the size of one message.
//
// Serving requests over NATS belongs to libs/bus; who may ask, to the gateway.
package rpc
