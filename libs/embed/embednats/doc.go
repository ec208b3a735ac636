// Package embednats runs a NATS server with JetStream inside the process, and
// renders the configuration that gives a stand-alone nats-server the same
// accounts, users and limits. Both load the same text, so they cannot differ.
//
// The accounts keep outsiders away from JetStream. NATS does not check the reply
// subject of a message against the sender's permissions: whoever may publish in
// the account that owns a stream can have the server's acknowledgement stored
// on any subject of it, or sent to the JetStream API. Clients therefore live in
// EDGE and WORKER and reach NEXUS only through what it exports to them. Plugins live
// in PLUGIN, which NEXUS reaches and which reaches nothing.
//
// Streams, consumers and their names do not belong here, and neither does the
// service that decides who may enter those accounts (auth callout).
package embednats
