package node

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/examples/internal/ports"
	kad "github.com/go-kad/kad/host"
)

const (
	// connsLow and connsHigh are when the host closes connections, and down to
	// how many. With the 192 of libp2p, a busy node would close the connections
	// to its own routing table.
	connsLow  = 400
	connsHigh = 600

	// connsMax is what the resource manager admits: room above connsHigh, since
	// connections are closed after a grace period.
	connsMax = 1024
)

// newNode returns a libp2p host with the default transports, which listens, and the
// DHT on it.
func newNode(s settings) (lhost.Host, *kad.DHT, error) {
	var d *kad.DHT
	h, err := newHost(s, &d)
	if err != nil {
		return nil, nil, err
	}
	if d == nil {
		d, err = kad.New(h, s.dht)
	}
	if err != nil {
		_ = h.Close()
		return nil, nil, err
	}
	return h, d, nil
}

// newHost returns the host. With traversal, it sets *d to the DHT.
func newHost(s settings, d **kad.DHT) (lhost.Host, error) {
	if err := ports.InUse(s.listen...); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, err
	}
	resources, err := newResources(s.dht)
	if err != nil {
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(s.key),
		libp2p.ListenAddrs(s.listen...),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		libp2p.UserAgent("kad-node"),
	}
	switch s.reachability {
	case network.ReachabilityPublic:
		opts = append(opts, libp2p.ForceReachabilityPublic())
	case network.ReachabilityPrivate:
		opts = append(opts, libp2p.ForceReachabilityPrivate())
	}
	if s.psk != nil {
		opts = append(opts, libp2p.PrivateNetwork(s.psk))
	}
	if s.traversal {
		opts = append(opts, kad.Traversal(d, s.dht))
	}
	h, err := libp2p.New(opts...)
	if err != nil && strings.Contains(err.Error(), "failed to listen") { // there is no sentinel
		return nil, fmt.Errorf("--listen: %w: use an address of this machine, such as /ip4/0.0.0.0/tcp/4001", err)
	}
	if err != nil {
		return nil, err
	}
	for _, want := range s.listen {
		bound := slices.ContainsFunc(h.Network().ListenAddresses(), func(a multiaddr.Multiaddr) bool { return binds(a, want) })
		if s.strict && !bound {
			_ = h.Close()
			return nil, fmt.Errorf("--listen: cannot listen on %s: is the port in use, is the address one of this machine?", want)
		}
	}
	return h, nil
}

// binds reports whether a is want with the port filled in, and what a
// transport adds at the end.
func binds(a, want multiaddr.Multiaddr) bool {
	if len(a) < len(want) {
		return false
	}
	for i, c := range want {
		free := (c.Protocol().Code == multiaddr.P_TCP || c.Protocol().Code == multiaddr.P_UDP) && c.Value() == "0"
		if a[i].Protocol().Code != c.Protocol().Code || !free && a[i].Value() != c.Value() {
			return false
		}
	}
	return true
}

// newResources returns the limits of libp2p, with those of a DHT and room for what this program
// is used for: many nodes on one machine or in one private network, where all
// connections come from one or a few addresses. On the public network, the
// limits per address are those of libp2p.
func newResources(cfg kad.Config) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	kad.AddLimits(&limits, cfg)
	for _, base := range []*rcmgr.BaseLimit{&limits.SystemBaseLimit, &limits.TransientBaseLimit} {
		base.Conns = max(base.Conns, connsMax)
		base.ConnsInbound = max(base.ConnsInbound, connsMax)
		base.ConnsOutbound = max(base.ConnsOutbound, connsMax)
		base.FD = max(base.FD, connsMax)
	}

	var v4, v6 []rcmgr.NetworkPrefixLimit
	rates := &rate.Limiter{
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 0.2, Burst: 16}}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 0.2, Burst: 16}}},
			GracePeriod:      time.Minute,
		},
	}
	for _, p := range localNetworks() {
		limit := rcmgr.NetworkPrefixLimit{Network: p, ConnCount: math.MaxInt}
		if p.Addr().Is4() {
			v4 = append(v4, limit)
		} else {
			v6 = append(v6, limit)
		}
		rates.NetworkPrefixLimits = append(rates.NetworkPrefixLimits, rate.PrefixLimit{Prefix: p}) // no limit
	}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(limits.AutoScale()),
		rcmgr.WithNetworkPrefixLimit(v4, v6),
		rcmgr.WithConnRateLimiters(rates),
	)
}

// localNetworks returns the networks that are not public, and the addresses of
// this machine, which may be.
func localNetworks() []netip.Prefix {
	var local []netip.Prefix
	for _, p := range []string{
		"127.0.0.0/8", "::1/128", // loopback
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", // private
		"169.254.0.0/16", "fe80::/10", // link-local
		"100.64.0.0/10", "198.18.0.0/15", // shared by the customers of a provider; benchmarks
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", // documentation, and laboratories
	} {
		local = append(local, netip.MustParsePrefix(p))
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return local // some systems do not tell
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local = append(local, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
		}
	}
	return local
}
