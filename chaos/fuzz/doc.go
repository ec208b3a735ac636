// Fuzz starts a nexus and sends it, for a while, what nobody should send: at
// every route, in every role, over HTTP that is right and HTTP that is not, and
// at the NATS door. It fails when an answer blames the server, quotes what it
// must not, or does not come; when the process ends or panics, or uses too much
// memory; and when a new job is not done afterwards.
package main
