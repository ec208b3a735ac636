// Package publicnet tells the addresses of the public internet from all others,
// and finds out what can be known of where a host leads before it is dialled.
package publicnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// ErrNotPublic means that an address is not a public one.
var ErrNotPublic = errors.New("the address is not a public one")

// Guard decides which addresses may be dialled.
type Guard struct {
	refused []netip.Prefix
	// unicast is all of IPv6 that is given out for public use.
	unicast netip.Prefix
}

// New makes a guard.
func New() Guard {
	g := Guard{unicast: netip.MustParsePrefix("2000::/3")}
	for _, text := range []string{
		"0.0.0.0/8",        // this network
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // behind the NAT of a carrier
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // what Azure tells its machines, on an address that looks public
		"169.254.0.0/16",   // link-local, and the metadata of clouds
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // relays of 6to4
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, and broadcast
		// Inside 2000::/3. What is outside of it, such as loopback, unique local,
		// link-local, multicast and NAT64, is refused as a whole.
		"2001::/23",     // protocol assignments, among them Teredo
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: an IPv4 address, perhaps a private one
		"3fff::/20",     // documentation
	} {
		g.refused = append(g.refused, netip.MustParsePrefix(text))
	}
	return g
}

// Public reports whether an address is one of the public internet.
func (g Guard) Public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	for _, p := range g.refused {
		if p.Contains(a) {
			return false
		}
	}
	return a.Is4() || g.unicast.Contains(a)
}

// Control is net.Dialer.Control. It is asked with the address that a name was
// resolved to, right before the connection is made, so nothing that the name's
// owner changes meanwhile gets past it.
func (g Guard) Control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s cannot be read", ErrNotPublic, address)
	}
	if !g.Public(to.Addr()) {
		return ErrNotPublic
	}
	return nil
}

// CheckHost reports, in words about a URL, that its host can be seen to lead to
// no public address, whatever a resolver says.
func (g Guard) CheckHost(host string) error {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(name); err == nil {
		if !g.Public(a) {
			return fmt.Errorf("its host is %s, which is not a public address", name)
		}
		return nil
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if numeric(last) {
		// Some resolvers read 127.1 and 0x7f000001 as addresses.
		return errors.New("its host ends in a number; write an IPv4 address as four decimal numbers from 0 to 255")
	}
	switch last {
	case "localhost", "local", "internal":
		return errors.New("its host is a name inside, which leads to no public address")
	}
	return nil
}

// numeric reports whether a label is a number to whoever reads addresses as C
// does. No name of the internet ends in one.
func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// Resolver finds the addresses of a name, as net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lookupWithin bounds the question where a name leads.
const lookupWithin = 2 * time.Second

// CheckName is CheckHost, and asks a resolver where a name leads now. Names that
// lead nowhere yet, or that cannot be asked for, are fine: the guard looks again
// when they are dialled.
func (g Guard) CheckName(ctx context.Context, resolver Resolver, host string) error {
	if err := g.CheckHost(host); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	found, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(found) == 0 {
		return nil
	}
	for _, a := range found {
		if g.Public(a) {
			return nil
		}
	}
	return errors.New("its host leads to no public address")
}
