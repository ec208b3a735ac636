// Package floor measures what the servers of the run do without a platform on
// top: what every promise of the platform costs at least.
package floor
