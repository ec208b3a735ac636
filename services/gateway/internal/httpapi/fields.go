package httpapi

import (
	"strings"
	"unicode"

	"nexus.internal/services/gateway/internal/ingress"
)

const (
	// maxFields bounds the errors listed in one answer, maxLocation the name of
	// the part that each is about: both come from the request.
	maxFields   = 20
	maxLocation = 200
)

// plainLocation keeps names in a shape that can be shown: clients choose those of
// properties.
func plainLocation(location string) string {
	shown := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, location)
	if len(shown) <= maxLocation {
		return shown
	}
	return strings.ToValidUTF8(shown[:maxLocation], "") + "…"
}

// plainMessage passes on what a schema says about a value, which is made of the
// schema, and nothing that a decoder says, which is made of the value.
func plainMessage(message string) string {
	switch {
	case strings.HasPrefix(message, "expected string to be RFC"):
		// What follows a colon quotes the value.
		fixed, _, _ := strings.Cut(message, ": ")
		return fixed
	case strings.HasPrefix(message, "expected "), strings.HasPrefix(message, "required "), message == "unexpected property",
		message == ingress.NotJSON, message == ingress.Unfit:
		return message
	case strings.HasPrefix(message, "invalid date/time"):
		return "expected string to be RFC 3339 date-time"
	case message == "invalid integer", message == "invalid float", message == "invalid boolean":
		return message
	case strings.HasPrefix(message, "unknown content type"):
		return "expected Content-Type application/json"
	case strings.HasSuffix(message, "after top-level value"):
		return "not valid JSON, there is more after top-level value"
	case strings.HasPrefix(message, "unexpected end of JSON"):
		return "not valid JSON, it ends too early"
	case strings.HasPrefix(message, "invalid character"), strings.HasPrefix(message, "exceeded max depth"):
		return "not valid JSON"
	}
	return "not a value that can be taken here"
}
