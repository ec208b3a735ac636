// Command lists measures how long lists of jobs take where there are millions.
//
// It starts a nexus of its own, fills its tables through SQL, asks for lists
// over REST and has Postgres say how it found them. LISTS.md, in the folder
// above, holds what it found.
package main
