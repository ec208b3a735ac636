package httpapi

import (
	"net"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// origins tells where requests come from. Proxies are believed only where they
// are known.
type origins struct{ proxies []netip.Prefix }

// address is the client's address: that of the connection, or, behind known
// proxies, the last one in X-Forwarded-For that is not a proxy itself. What
// stands further left could have been written by anybody.
func (c origins) address(ctx huma.Context) string {
	remote := host(ctx.RemoteAddr())
	if !c.isProxy(remote) {
		return remote
	}
	hops := strings.Split(ctx.Header("X-Forwarded-For"), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		if _, err := netip.ParseAddr(hop); err != nil {
			break
		}
		if remote = hop; !c.isProxy(hop) {
			break
		}
	}
	return remote
}

func (c origins) isProxy(address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range c.proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}
