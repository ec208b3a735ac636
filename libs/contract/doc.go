// Package contract is the vocabulary the services share: subjects, streams,
// and the payloads that travel on them. It is the only library package that
// knows what a job is.
//
// It depends on the standard library alone and does no I/O. What a message
// means is here; how it is sent is in bus, what is allowed to happen to a job
// is in the jobs service.
package contract
