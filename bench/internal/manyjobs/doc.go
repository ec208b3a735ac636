// Package manyjobs fills the tables of the jobs service with jobs that look as
// if they had been submitted and run over the last 100 days: of every state,
// type, owner and lane, with tags. Which job is what depends on its number only.
//
// It writes the tables itself: to submit millions of jobs takes too long.
package manyjobs
