package embedpg

import "errors"

// Errors a caller may want to tell apart. Each is wrapped in a sentence that
// says what to do.
var (
	// ErrNotInstalled says that the PostgreSQL server programs were not found.
	ErrNotInstalled = errors.New("PostgreSQL is not installed")
	// ErrInUse says that another process runs a server on the same data folder.
	ErrInUse = errors.New("data folder in use")
	// ErrVersion says that another major version of PostgreSQL made the data.
	ErrVersion = errors.New("data of another PostgreSQL version")
	// ErrForeign says that the data belongs to another user, or is no database.
	ErrForeign = errors.New("data folder is not ours")
)
