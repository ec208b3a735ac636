package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/services/audit"
)

const auditUsage = "want: nexus audit verify [--from DATE] [--to DATE] [--expect HEAD]; a date is 2026-01-31 or 2026-01-31T12:00:00Z"

// auditCommand verifies the audit trail. A broken one is an error.
func auditCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] != "verify" {
		return errors.New(auditUsage)
	}
	flags := flag.NewFlagSet("audit verify", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	from, to := flags.String("from", "", ""), flags.String("to", "", "")
	var r audit.Range
	flags.StringVar(&r.Expect, "expect", "", "")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return errors.New(auditUsage)
	}
	var err error
	if r.From, err = parseDate(*from); err != nil {
		return err
	}
	if r.To, err = parseDate(*to); err != nil {
		return err
	}
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	v, err := platform.VerifyAudit(ctx, cfg, stderr, r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "The audit trail is whole: %d entries in %d segments", v.Entries, v.Segments)
	if err == nil && v.Early > 0 {
		_, err = fmt.Fprintf(stdout, ", and %d from before there was a chain, which nothing protects", v.Early)
	}
	if err == nil {
		_, err = fmt.Fprintf(stdout, ".\nHead %s\n", v.Head)
	}
	return err
}

func parseDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date; %s", s, auditUsage)
}
