package layer

import (
	"fmt"
	"slices"
	"strings"
)

// Name identifies an analysis layer.
type Name string

// The layers, in the order in which an analysis runs them by default.
const (
	Token            Name = "token"
	Morphology       Name = "morphology"
	Syntax           Name = "syntax"
	Semantics        Name = "semantics"
	Pragmatics       Name = "pragmatics"
	Discourse        Name = "discourse"
	Sociolinguistics Name = "sociolinguistics"
	Rhetoric         Name = "rhetoric"
	Semiotic         Name = "semiotic"
)

// Names returns every layer in default order. The slice is the caller's own.
func Names() []Name {
	return []Name{
		Token, Morphology, Syntax, Semantics, Pragmatics,
		Discourse, Sociolinguistics, Rhetoric, Semiotic,
	}
}

// Confidence is how far the baseline output of the layer can be relied upon,
// between 0 and 1. It is 0 for an unknown layer.
func (n Name) Confidence() float64 {
	switch n {
	case Token:
		return 0.72
	case Morphology:
		return 0.68
	case Syntax:
		return 0.66
	case Semantics:
		return 0.64
	case Pragmatics:
		return 0.62
	case Discourse:
		return 0.61
	case Sociolinguistics:
		return 0.59
	case Rhetoric:
		return 0.74
	case Semiotic:
		return 0.63
	}
	return 0
}

// UnknownError says that a requested layer does not exist.
type UnknownError struct {
	// Requested is the name as it was given, shortened when very long.
	Requested string
}

// Error names the layer asked for and all known ones.
func (e *UnknownError) Error() string {
	known := make([]string, 0, len(Names()))
	for _, n := range Names() {
		known = append(known, string(n))
	}
	return fmt.Sprintf("unknown layer %q, known layers are %s", e.Requested, strings.Join(known, ", "))
}

// Select turns requested names into layers, in the order asked for and each
// once. Asking for none means all of them in default order. The error is an
// [*UnknownError].
func Select(requested []string) ([]Name, error) {
	if len(requested) == 0 {
		return Names(), nil
	}
	known := Names()
	selected := make([]Name, 0, len(known))
	for _, r := range requested {
		n := Name(r)
		if !slices.Contains(known, n) {
			return nil, &UnknownError{Requested: clip(r)}
		}
		if !slices.Contains(selected, n) {
			selected = append(selected, n)
		}
	}
	return selected, nil
}
