// Package s3server pins the S3 server that tests store objects in. It is kept out of
// the other modules: it brings clouds of dependencies that nothing of Nexus uses.
package s3server
