package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"nexus.internal/cmd/nexus/internal/platform"
)

// action does what a command line asks for.
type action func(ctx context.Context, stdout, stderr io.Writer) error

// command is one thing the program can do.
type command struct {
	// name is one word or two.
	name string
	// args shows what may follow, and options explains it, a line each.
	args, options string
	does          string
	// prepare reads what follows the name, before anything happens.
	prepare func(args []string) (action, error)
}

// usageError is a command line that asks for nothing there is. usage is that of
// the command that was meant, or of the program.
type usageError struct{ problem, usage string }

func (e *usageError) Error() string { return e.problem }

func commands() []command {
	list := []command{{name: "up", does: "run everything on this machine", prepare: without(serveAll)}}
	for _, service := range platform.Services() {
		list = append(list, command{name: service, does: "run the service " + service + " alone", prepare: without(serveOne(service))})
	}
	return append(list,
		command{
			name: "worker", args: "[--queues LIST] [--concurrency N] [--max-jobs N] [--once]", does: "run jobs only", prepare: prepareWorker,
			options: `  --queues LIST      the queues to serve, such as corpus,plugins; default: all
  --concurrency N    jobs of one queue at once; default: as the settings say
  --max-jobs N       end after so many jobs
  --once             run one job, if one waits, and end
`,
		},
		command{name: "nats", does: "run the NATS server alone, for services run one by one", prepare: without(serveNATS)},
		command{
			name: "migrate up", args: "[--keep]", does: "create the database schemas and the streams, or bring them up to date", prepare: prepareMigrateUp,
			options: `  --keep             then stay, and make streams again that NATS has lost
`,
		},
		command{name: "migrate down", args: "--yes", does: "remove the database schemas with all data", prepare: prepareMigrateDown, options: "  --yes              required: all data is deleted\n"},
		command{
			name: "audit verify", args: "[--from DATE] [--to DATE] [--expect HEAD]", does: "hold the audit trail to its chain", prepare: prepareAuditVerify,
			options: `  --from, --to DATE  bound it by the time of recording; 2026-01-31 or 2026-01-31T12:00:00Z
  --expect HEAD      a head noted earlier, which the trail must still hold
`,
		},
		command{name: "rebuild-broker", does: "give a NATS server that lost its data the streams, and send unfinished jobs again", prepare: without(rebuildBroker)},
		command{name: "docs", args: "--out DIR", does: "write the generated pages of the documentation", prepare: prepareDocs, options: "  --out DIR          the folder, which must exist\n"},
		command{name: "version", does: "print the version", prepare: without(printVersion)},
	)
}

const (
	usageHead = "nexus runs jobs and loses none.\n\n"
	usageTail = `
nexus COMMAND --help says more. Settings are environment variables that begin with
NEXUS_, or lines of a file named .env; docs/configuration.md lists them.
`
)

// usage lists the commands; of a group alone where one is named.
func usage(group string) string {
	var b strings.Builder
	b.WriteString(usageHead)
	for _, c := range commands() {
		if group == "" || c.in(group) {
			fmt.Fprintf(&b, "  nexus %-15s %s\n", c.name, c.does)
		}
	}
	return b.String() + usageTail
}

func (c command) usage() string {
	line := "usage: nexus " + c.name
	if c.args != "" {
		line += " " + c.args
	}
	text := line + "\n\n  " + c.does + "\n"
	if c.options != "" {
		text += "\n" + c.options
	}
	return text + "\nSettings are environment variables; docs/configuration.md lists them.\n"
}

// in reports whether the command is the group's, or named like it.
func (c command) in(group string) bool {
	return c.name == group || strings.HasPrefix(c.name, group+" ")
}

// prepare reads a whole command line. Nothing has happened yet when it returns
// an error, which is a *usageError.
func prepare(args []string) (action, error) {
	if len(args) == 0 {
		return show(usage("")), nil
	}
	helpWanted := slices.ContainsFunc(args, isHelpFlag)
	words := args
	if args[0] == "help" {
		helpWanted, words = true, args[1:]
	} else if last := len(args) - 1; last > 0 && args[last] == "help" && !strings.HasPrefix(args[last-1], "-") {
		helpWanted, words = true, args[:last]
	}
	if helpWanted {
		return help(words)
	}
	c, rest, ok := find(args)
	if !ok {
		return nil, unknown(args)
	}
	act, err := c.prepare(rest)
	if err != nil {
		text := c.usage()
		if len(groupOf(c.name)) > 1 {
			text = usage(c.name)
		}
		return nil, &usageError{problem: c.name + ": " + err.Error(), usage: text}
	}
	return act, nil
}

// help answers for the command that words begin with.
func help(words []string) (action, error) {
	if n := slices.IndexFunc(words, isHelpFlag); n >= 0 {
		words = words[:n]
	}
	if len(words) == 0 || words[0] == "help" {
		return show(usage("")), nil
	}
	c, _, ok := find(words)
	group := len(groupOf(words[0])) > 1
	switch {
	case group && (!ok || len(words) == 1):
		return show(usage(words[0])), nil
	case !ok:
		return nil, unknown(words)
	}
	return show(c.usage()), nil
}

func isHelpFlag(arg string) bool { return arg == "-h" || arg == "--help" || arg == "-help" }

// find returns the command that args begin with, of two words before of one.
func find(args []string) (c command, rest []string, ok bool) {
	for _, n := range []int{2, 1} {
		if len(args) < n {
			continue
		}
		name := strings.Join(args[:n], " ")
		if i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name }); i >= 0 {
			return commands()[i], args[n:], true
		}
	}
	return command{}, nil, false
}

// groupOf lists the commands whose names begin with word.
func groupOf(word string) []command {
	return slices.DeleteFunc(commands(), func(c command) bool { return !c.in(word) })
}

func unknown(args []string) error {
	group := groupOf(args[0])
	if len(group) == 0 {
		return &usageError{problem: fmt.Sprintf("there is no command %q", args[0]), usage: usage("")}
	}
	names := make([]string, len(group))
	for i, c := range group {
		names[i] = strings.TrimSpace("nexus " + c.name + " " + c.args)
	}
	return &usageError{problem: "want " + strings.Join(names, ", or "), usage: usage(args[0])}
}

func show(text string) action {
	return func(_ context.Context, stdout, _ io.Writer) error {
		_, err := io.WriteString(stdout, text)
		return err
	}
}

// without is for commands that nothing may follow.
func without(act action) func([]string) (action, error) {
	return func(args []string) (action, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("%q is not an option", args[0])
		}
		return act, nil
	}
}

// parse reads flags, and wants nothing else to follow.
func parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not an option", flags.Arg(0))
	}
	return nil
}

// count is the value of a flag that wants a number of jobs.
func count(n *int) func(string) error {
	return func(value string) error {
		var err error
		if *n, err = strconv.Atoi(value); err != nil || *n < 0 {
			return errors.New("want a number of jobs")
		}
		return nil
	}
}
