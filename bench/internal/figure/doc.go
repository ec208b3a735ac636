// Package figure names everything that is measured, and collects the figures of
// several rounds.
//
// How a figure is taken does not belong here, nor what it ought to be.
package figure
