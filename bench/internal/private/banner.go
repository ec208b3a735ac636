package private

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// addresses are what nexus says about itself when it serves.
type addresses struct {
	http string // host:port
	nats string // URL
}

// readBanner reads what nexus prints until both addresses are known.
func readBanner(r io.Reader) (addresses, error) {
	httpLine := regexp.MustCompile(`^\s*REST API\s+http://(\S+)`)
	natsLine := regexp.MustCompile(`^\s*NATS\s+(nats://\S+)`)
	var a addresses
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if m := httpLine.FindStringSubmatch(lines.Text()); m != nil {
			a.http = m[1]
		}
		if m := natsLine.FindStringSubmatch(lines.Text()); m != nil {
			a.nats = m[1]
		}
		if a.http != "" && a.nats != "" {
			return a, nil
		}
	}
	if err := lines.Err(); err != nil {
		return a, fmt.Errorf("read what nexus prints: %w", err)
	}
	return a, errors.New("nexus ended before it said where it listens")
}

// postmaster is what a Postgres server says about itself in postmaster.pid
// (PostgreSQL source, src/include/utils/pidfile.h).
type postmaster struct {
	pid    int
	port   string
	socket string // folder
}

func parsePostmaster(text string) (postmaster, error) {
	const pidLine, portLine, socketLine = 0, 3, 4
	lines := strings.Split(text, "\n")
	if len(lines) <= socketLine {
		return postmaster{}, fmt.Errorf("postmaster.pid has %d lines; is the server still starting?", len(lines))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[pidLine]))
	if err != nil {
		return postmaster{}, fmt.Errorf("read the server's process id: %w", err)
	}
	return postmaster{pid: pid, port: strings.TrimSpace(lines[portLine]), socket: strings.TrimSpace(lines[socketLine])}, nil
}

// lastLines are the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
