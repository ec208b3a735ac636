// Package suite measures a nexus: how fast it takes jobs, how fast it ends them,
// both at once, how long a job takes when nothing else is going on, and what all
// that costs.
//
// Where the nexus comes from, and what the figures are held against, is not its
// business.
package suite
