package identity

import "net/netip"

// Network is the part of an address that one client can hardly change: the whole
// of an IPv4 address, the first 64 bits of an IPv6 one. It is "unknown" for what
// is no address.
func Network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.Addr().String()
}
