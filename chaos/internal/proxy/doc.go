// Package proxy stands between a program and a server and can lose what one
// says to the other.
package proxy
