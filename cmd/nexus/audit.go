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

// prepareAuditVerify reads the arguments of `nexus audit verify`.
func prepareAuditVerify(args []string) (action, error) {
	var r audit.Range
	flags := flag.NewFlagSet("audit verify", flag.ContinueOnError)
	flags.Func("from", "", date(&r.From))
	flags.Func("to", "", date(&r.To))
	flags.StringVar(&r.Expect, "expect", "", "")
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	return func(ctx context.Context, stdout, stderr io.Writer) error { return verifyAudit(ctx, r, stdout, stderr) }, nil
}

// verifyAudit verifies the audit trail. A broken one is an error.
func verifyAudit(ctx context.Context, r audit.Range, stdout, stderr io.Writer) error {
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

// date is the value of a flag that wants a time.
func date(at *time.Time) func(string) error {
	return func(value string) error {
		for _, form := range []string{time.DateOnly, time.RFC3339} {
			if t, err := time.Parse(form, value); err == nil {
				*at = t
				return nil
			}
		}
		return errors.New("want a date such as 2026-01-31 or 2026-01-31T12:00:00Z")
	}
}
