// Package e2e drives the real program: it builds the binary, starts it as a
// newcomer would, and uses it over HTTP and NATS. It knows the services by
// what they answer only.
package e2e
