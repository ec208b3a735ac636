// Package observe sees what a Nexus does from outside: its stream of events as
// it goes, and its tables when it has come to rest.
package observe
