// Package plugin decides who computes an analysis layer: it holds the plugins,
// the profiles that chain them, and the guard that keeps a plugin which fails,
// panics, hangs, floods or lies from costing more than its own layer.
//
// A plugin shares the memory of the process. The guard cannot stop one that
// corrupts memory, exhausts the stack or never returns; calls that do not return
// are given up on, counted, and bounded.
//
// What does not belong here: the baseline algorithms (package layer), reading
// documents and keeping results.
package plugin
