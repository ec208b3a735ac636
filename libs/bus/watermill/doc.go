// Package wmjs carries Watermill messages over JetStream: a Publisher that
// waits for the broker's word and a Subscriber on durable pull consumers.
//
// It never closes the connection it was given, never holds more messages than
// its handlers work on, and keeps a message alive while one of them does. What
// a message means, when it becomes a dead letter and how a router is built do
// not belong here.
package wmjs
