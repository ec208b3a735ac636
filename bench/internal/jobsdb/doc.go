// Package jobsdb looks at the tables of a private nexus to see what became of
// its jobs, and clears them between phases.
//
// It is for a nexus that belongs to the load program; never point it at another.
package jobsdb
