// Command load measures a nexus and writes what it finds as Markdown.
//
// By itself it builds nexus, starts one with servers of its own, durable as in
// production, and ends it afterwards. With --river it measures River on the same
// Postgres, in turn with nexus. RESULTS.md, beside it, says how to read the
// figures.
package main
