package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Address returns a problem unless value is host:port with a port up to 65535.
// free is the port that lets the system pick one.
func Address(name, value string, free int) error {
	host, port, err := net.SplitHostPort(value)
	n, portErr := strconv.Atoi(port)
	switch {
	case err != nil || portErr != nil || strings.ContainsFunc(host, isBlank):
		return fmt.Errorf("%s is %s: want host:port", name, show(value))
	case n != free && (n < 1 || n > 65535):
		return fmt.Errorf("%s is %s: want a port from 1 to 65535, or %d for any free one", name, show(value), free)
	}
	return nil
}

// Secret returns a problem unless value has lowest to highest characters, all of
// them visible ASCII, so that it means the same in a header, a file and a shell.
// The problem does not show the value.
func Secret(name, value string, lowest, highest int) error {
	bad := strings.IndexFunc(value, func(c rune) bool { return c <= ' ' || c > '~' })
	switch {
	case bad >= 0 && strings.TrimSpace(value) != value:
		return fmt.Errorf("%s begins or ends with white space, such as the end of a line: want visible ASCII characters only", name)
	case bad >= 0:
		return fmt.Errorf("%s has a space, a control character or one outside ASCII, as character %d: want visible ASCII characters only",
			name, 1+len([]rune(value[:bad])))
	case len(value) < lowest:
		return fmt.Errorf("%s has %d characters: want at least %d", name, len(value), lowest)
	case len(value) > highest:
		return fmt.Errorf("%s has %d characters: want at most %d", name, len(value), highest)
	}
	return nil
}

// URL returns a problem unless value is a URL of one of the schemes. The problem
// does not show the value, which may hold a password.
func URL(name, value, example string, schemes ...string) error {
	problem := fmt.Errorf("%s is not a URL such as %s", name, example)
	if strings.ContainsFunc(value, isBlank) {
		return problem
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return problem
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%s has no port from 1 to 65535; an example is %s", name, example)
		}
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme {
			return nil
		}
	}
	return problem
}

func isBlank(c rune) bool { return c <= ' ' || c == 0x7f }

// show quotes a value for a message, cut where it is long.
func show(value string) string {
	const most = 60
	if runes := []rune(value); len(runes) > most {
		return strconv.Quote(string(runes[:most])) + "…"
	}
	return strconv.Quote(value)
}
