// Package report holds the figures of a run against the goals and writes both as
// Markdown.
//
// It measures nothing and rounds nothing up: a goal that is missed says so.
package report
