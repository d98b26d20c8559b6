package simnat

import (
	"encoding/binary"
	"hash/fnv"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/marcopolo/simnet"
)

// A Latency is the range from which the time of a packet from one public address
// to another is drawn, evenly, once for each pair. Within a NAT it is zero.
type Latency struct{ Min, Max time.Duration }

// A Net carries packets between public addresses.
type Net struct {
	seed    uint64
	latency Latency
	router  simnet.VariableLatencyRouter
	running sync.WaitGroup
}

// New returns a Net that is running. What is random in it follows from seed.
func New(seed uint64, latency Latency) *Net {
	n := &Net{seed: seed, latency: latency}
	n.router.CloseSignal = make(chan struct{})
	n.router.LatencyFunc = func(p *simnet.Packet) time.Duration {
		return n.between(addrPort(p.From).Addr(), addrPort(p.To).Addr())
	}
	n.router.Start(&n.running)
	return n
}

// Close stops the Net; packets that are under way are lost. It must be called once,
// after the hosts were closed.
func (n *Net) Close() {
	close(n.router.CloseSignal)
	n.running.Wait()
}

// Public returns a Link at a public address, without a NAT.
func (n *Net) Public(addr netip.Addr) *Link { return &Link{net: n, addr: addr} }

// between returns the latency of packets between two addresses, both ways.
func (n *Net) between(a, b netip.Addr) time.Duration {
	if b.Less(a) {
		a, b = b, a
	}
	span := uint64(max(0, n.latency.Max-n.latency.Min)) + 1
	return n.latency.Min + time.Duration(hash(n.seed, a.AsSlice(), b.AsSlice())%span) //nolint:gosec // less than span
}

// add makes what is sent to a public address arrive at r.
func (n *Net) add(addr netip.AddrPort, r receiver) { n.router.AddNode(udpAddr(addr), r) }

// remove undoes add.
func (n *Net) remove(addr netip.AddrPort) { n.router.RemoveNode(udpAddr(addr)) }

// A receiver is a function that takes packets.
type receiver func(p *simnet.Packet)

// RecvPacket calls r.
func (r receiver) RecvPacket(p *simnet.Packet) { r(p) }

// hash returns a number that follows from a seed and what else is given.
func hash(seed uint64, parts ...[]byte) uint64 {
	h := fnv.New64a()
	for _, p := range append(parts, binary.BigEndian.AppendUint64(nil, seed)) {
		h.Write(p) //nolint:gosec // it never fails
	}
	return h.Sum64()
}

// udpAddr and addrPort convert addresses. The router of simnet tells an IPv4
// address of 4 bytes from the same one of 16, so all are brought to the short form.
func udpAddr(a netip.AddrPort) *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
}

func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
