// Package query answers questions about analysis runs and plugins.
//
// Nothing here changes anything.
package query
