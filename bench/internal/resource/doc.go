// Package resource reads what processes cost, processor time and memory, and
// what the machine is, out of /proc. Elsewhere than on Linux it has nothing to
// say, which is no error: figures made of it are missing then.
//
// It starts and stops nothing.
package resource
