package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// dialWithin is how long an address may take to answer.
const dialWithin = 5 * time.Second

// probe writes the addresses that can be reached, a line each.
func probe(ctx context.Context, addresses []string, out io.Writer) error {
	dialer := net.Dialer{Timeout: dialWithin}
	for _, address := range addresses {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		if err := conn.Close(); err != nil {
			return fmt.Errorf("close %s: %w", address, err)
		}
		if _, err := fmt.Fprintln(out, address); err != nil {
			return err
		}
	}
	return nil
}
