// Package pace holds the shapes of load: operations repeated for a time by a
// number of goroutines, a bound on what is outstanding, and the latencies that
// come of it.
//
// It does not know what an operation is, nor what is done with the figures.
package pace
