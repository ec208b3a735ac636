// Package checker holds a history against what Nexus promises. It knows only
// what clients and tables showed, not how Nexus works.
package checker
