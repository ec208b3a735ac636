// Command cover prints the statement coverage of every service and library as a
// table and fails when one of them is below the minimum.
//
// It reads text profiles as written by `go test -coverprofile` and
// `go tool covdata textfmt` and merges them: a statement counts as covered when
// any run reached it. Generated files and the main.go of a program are left out.
//
// Running tests is not its business, nor is coverage inside one function; use
// `go tool cover` for that.
package main
