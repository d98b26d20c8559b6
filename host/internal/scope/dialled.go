package scope

import (
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/net/publicsuffix"
)

// IsName reports whether an address begins with a DNS name that has to be resolved.
func IsName(addr multiaddr.Multiaddr) bool {
	_, ok := nameOf(addr)
	return ok && Network(addr, 32, 64) == ""
}

// Dialled returns what is dialled on the internet for an address, of the relay if it is relayed:
// the place, which is the IPv4 address, the /64 of the IPv6 address, or the DNS name; and the
// network that it is in, which is the one of [Group], or the domain of the name that was
// registered, all names of which may lead to one place. They are empty for an address that is
// not public.
func Dialled(addr multiaddr.Multiaddr) (place, network string) {
	if Of(addr) != Public || len(addr) == 0 {
		return "", ""
	}
	if place = Network(addr, 32, 64); place != "" {
		return place, Group(addr)
	}
	name, ok := nameOf(addr)
	if !ok {
		return addr[0].Value(), ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil { // it has one part, as the names of containers do
		domain = name
	}
	return name, domain
}
