package scope

import "github.com/multiformats/go-multiaddr"

// Dialled returns what is dialled on the internet for an address: the IPv4 address, the /64
// of the IPv6 address, or the DNS name, of the relay if it is relayed. It is empty for an
// address that is not public.
func Dialled(addr multiaddr.Multiaddr) string {
	if Of(addr) != Public || len(addr) == 0 {
		return ""
	}
	if network := Network(addr, 32, 64); network != "" {
		return network
	}
	return addr[0].Value()
}
