// Package jsonsize measures and cuts texts by the space they take in a JSON
// message, so that an answer made of them fits one. It encodes nothing itself.
package jsonsize
