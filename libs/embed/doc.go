// Package embed groups the servers that the program can carry with it: embedpg
// starts a private PostgreSQL, embednats runs a NATS server in the process.
// They serve `nexus up` and the tests; a deployment points the services at
// servers of its own instead.
//
// What is stored in these servers, and who may read it, does not belong here.
package embed
