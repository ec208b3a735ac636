package deliver

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// ErrNotPublic means that a name leads to an address that is not a public one.
var ErrNotPublic = errors.New("the address is not a public one")

// guard decides which addresses may be dialled. It is asked with the address that
// a name was resolved to, right before the connection is made, so nothing that
// the name's owner changes meanwhile gets past it.
type guard struct {
	refused []netip.Prefix
	// unicast is all of IPv6 that is given out for public use.
	unicast netip.Prefix
}

func newGuard() guard {
	g := guard{unicast: netip.MustParsePrefix("2000::/3")}
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

// public reports whether an address is one of the public internet.
func (g guard) public(a netip.Addr) bool {
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

// control is net.Dialer.Control.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s cannot be read", ErrNotPublic, address)
	}
	if !g.public(to.Addr()) {
		return ErrNotPublic
	}
	return nil
}
