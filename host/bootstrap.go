package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

const (
	// maxDNSAddrs bounds the addresses that one name of the DNS may lead to, and
	// maxDNSDepth how many names it may lead through.
	maxDNSAddrs = 256
	maxDNSDepth = 4
)

// DNSBootstrap returns a function for Config.FindBootstrap that resolves addresses such as
// /dnsaddr/bootstrap.example.org, whose TXT records list the addresses of peers. Addresses
// that end in /p2p/ID may be among them. The function fails only if no address leads to a
// peer; the error then says why, for each address. It takes at most 256 addresses from a name.
func DNSBootstrap(addrs ...string) func(context.Context) ([]peer.AddrInfo, error) {
	return dnsBootstrap(madns.DefaultResolver, addrs)
}

// dnsBootstrap is DNSBootstrap with a resolver.
func dnsBootstrap(r *madns.Resolver, addrs []string) func(context.Context) ([]peer.AddrInfo, error) {
	return func(ctx context.Context) ([]peer.AddrInfo, error) {
		var infos []peer.AddrInfo
		var failed []error
		for _, s := range addrs {
			found, err := behind(ctx, r, s)
			infos = append(infos, found...)
			if err == nil && len(found) == 0 {
				err = errors.New("no address of a peer: its TXT records are to read dnsaddr=/ip4/.../p2p/ID")
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", s, err))
			}
		}
		if len(infos) == 0 && len(failed) > 0 {
			return nil, errors.Join(failed...)
		}
		return others(infos, ""), nil
	}
}

// behind returns the peers that an address leads to.
func behind(ctx context.Context, r *madns.Resolver, addr string) ([]peer.AddrInfo, error) {
	first, err := multiaddr.NewMultiaddr(addr)
	if err != nil {
		return nil, err
	}
	addrs := []multiaddr.Multiaddr{first}
	var failed error
	for range maxDNSDepth {
		var next []multiaddr.Multiaddr
		for _, a := range addrs {
			if !strings.HasPrefix(a.String(), "/dnsaddr/") {
				next = append(next, a)
				continue
			}
			resolved, err := r.Resolve(ctx, a)
			if err != nil {
				failed = errors.Join(failed, err)
			}
			next = append(next, resolved...)
		}
		addrs = next[:min(len(next), maxDNSAddrs)]
	}
	addrs = slices.DeleteFunc(addrs, func(a multiaddr.Multiaddr) bool { return strings.HasPrefix(a.String(), "/dnsaddr/") })
	var infos []peer.AddrInfo
	for _, a := range addrs {
		if info, err := peer.AddrInfoFromP2pAddr(a); err == nil && len(info.Addrs) > 0 {
			infos = append(infos, *info)
		}
	}
	if len(infos) > 0 {
		failed = nil
	}
	return infos, failed
}

// others returns peers without this node, each once, with all of its addresses.
func others(peers []peer.AddrInfo, self peer.ID) []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, p := range peers {
		i := slices.IndexFunc(out, func(have peer.AddrInfo) bool { return have.ID == p.ID })
		switch {
		case p.ID == self:
		case i < 0:
			out = append(out, peer.AddrInfo{ID: p.ID, Addrs: slices.Clone(p.Addrs)})
		default:
			out[i].Addrs = append(out[i].Addrs, p.Addrs...)
		}
	}
	return out
}

// bootstrapNow returns what names all bootstrap peers as they are now, without this node;
// nil if they do not change. A peer without an address is left out.
func (c Config) bootstrapNow(self peer.ID) func(context.Context) ([]peer.AddrInfo, error) {
	if c.FindBootstrap == nil {
		return nil
	}
	return func(ctx context.Context) ([]peer.AddrInfo, error) {
		named, err := c.FindBootstrap(ctx)
		if err != nil {
			return nil, err
		}
		named = slices.DeleteFunc(slices.Clone(named), func(p peer.AddrInfo) bool { return len(p.Addrs) == 0 || p.ID.Validate() != nil })
		return others(slices.Concat(c.Bootstrap, named), self), nil
	}
}

// ParseAddrs parses addresses of peers, each ending in "/p2p/ID", into what
// [Config.Bootstrap] takes. Several addresses of one peer become one entry. The
// error names the address and what is missing in it.
func ParseAddrs(addrs ...string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for _, s := range addrs {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("kad: %q is not the address of a peer, such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...: %w", s, err)
		}
		if len(info.Addrs) == 0 {
			return nil, fmt.Errorf("kad: %q has the ID of the peer and no address: put its address before /p2p/", s)
		}
		infos = append(infos, *info)
	}
	return others(infos, ""), nil
}

// Bootstrap joins the network: it asks connected peers and contacts of an earlier time, and
// the bootstrap peers if none of these answers within a second; then it looks up the ID of
// this node, and fills the buckets that are farther away than its closest neighbours. It
// returns nil when that is done, and a [*NotReadyError] if no peer answered.
//
// There is no need to call it: a DHT joins by itself, and tries again while its routing
// table is empty or it is offline. Operations wait for the first join: see [DHT.Ready].
//
// Spec: libp2p kad-dht, "Bootstrap process".
func (d *DHT) Bootstrap(ctx context.Context) error {
	ctx, end, err := d.tasks.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return public(d.join.Join(ctx))
}
