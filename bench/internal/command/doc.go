// Package command submits jobs straight to the command stream, as a gateway
// does, and waits for the recorder's verdicts, which come after the commit.
//
// Nothing is admitted here: whoever may publish commands is trusted.
package command
