// Command cover prints the statement coverage of every file, the lines that no
// test reached in the ten files that have the least of it, and a table of every
// service and library. It fails when a row of that table is below the minimum.
//
// It reads text profiles as written by `go test -coverprofile` and
// `go tool covdata textfmt` and merges them: a statement counts as covered when
// any run reached it. Generated files and the main.go of a program are left out.
//
// Running tests is not its business, nor is showing the source; use `go tool cover`
// for that.
package main
