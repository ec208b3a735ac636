// Package evolve holds the events that make a new text out of an old one. Each is
// a pure function of the text and its payload: where a choice is left to chance,
// chance comes from the payload's seed, so the same event always gives the same
// text.
//
// Where texts come from and where they are kept does not belong here.
package evolve
