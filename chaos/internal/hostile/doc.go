// Package hostile makes requests and messages that a program nearly accepts, or
// that no program should be troubled by: JSON that follows a schema but for one
// place, numbers and times at the edge, encodings that are not what they say,
// broken HTTP.
//
// Everything it makes follows from a seed, except for the ids that were seen in
// answers. Nothing it makes leads to a public address.
package hostile
