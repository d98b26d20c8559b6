package simnat

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/marcopolo/simnet"
)

// A NAT is a router with one public address and a private network behind it. It is
// safe for concurrent use.
//
// Source: RFC 4787.
type NAT struct {
	net     *Net
	flavour Flavour

	mu       sync.Mutex
	public   netip.Addr
	rand     *rand.Rand                 // draws outside ports
	sockets  map[netip.AddrPort]*socket // of the private network
	mappings map[mappingKey]*mapping    // by who sends, and to whom if that counts
	outside  map[uint16]*mapping        // the same, by outside port
}

// A mappingKey is what shares a mapping.
type mappingKey struct{ inside, remote netip.AddrPort }

// A mapping is an outside port of a NAT.
type mapping struct {
	key     mappingKey
	outside netip.AddrPort
	used    time.Time
	letsIn  map[netip.AddrPort]time.Time // from whom packets may come; when it was used last
}

// NAT returns a NAT at a public address.
func (n *Net) NAT(public netip.Addr, flavour Flavour) *NAT {
	return &NAT{
		net: n, flavour: flavour, public: public,
		rand:     rand.New(rand.NewPCG(n.seed, hash(n.seed, public.AsSlice()))),
		sockets:  make(map[netip.AddrPort]*socket),
		mappings: make(map[mappingKey]*mapping),
		outside:  make(map[uint16]*mapping),
	}
}

// Link returns a Link in the private network, at a private address. Different NATs
// may use the same ones.
func (t *NAT) Link(private netip.Addr) *Link { return &Link{net: t.net, nat: t, addr: private} }

// Public returns the public address.
func (t *NAT) Public() netip.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.public
}

// Renumber gives the NAT another public address. It forgets all mappings, as home
// routers do.
func (t *NAT) Renumber(public netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.mappings {
		t.forget(m)
	}
	t.public = public
}

// attach adds a socket of the private network.
func (t *NAT) attach(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sockets[s.addr] = s
}

// detach removes it, and leaves its mappings to their timeout: a NAT does not know
// that a socket was closed.
func (t *NAT) detach(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sockets, s.addr)
}

// out takes what a socket of the private network sends.
func (t *NAT) out(from *socket, p *simnet.Packet) {
	to := addrPort(p.To)
	t.mu.Lock()
	if near := t.sockets[to]; near != nil {
		t.mu.Unlock()
		near.deliver(p)
		return
	}
	now := time.Now()
	m := t.mapping(mappingKey{from.addr, t.flavour.Mapping.part(to)}, now)
	m.used = now
	m.letsIn[t.flavour.Filtering.part(to)] = now
	p.From = udpAddr(m.outside)
	t.mu.Unlock()
	t.net.router.RecvPacket(p)
}

// in takes what arrives at the outside port of m.
func (t *NAT) in(m *mapping, p *simnet.Packet) {
	from := t.flavour.Filtering.part(addrPort(p.From))
	now := time.Now()
	t.mu.Lock()
	used, ok := m.letsIn[from]
	if !ok || t.flavour.over(used, now) {
		t.mu.Unlock()
		return
	}
	m.used, m.letsIn[from] = now, now
	s := t.sockets[m.key.inside]
	t.mu.Unlock()
	if s != nil {
		p.To = udpAddr(m.key.inside)
		s.deliver(p)
	}
}

// mapping returns the mapping of a key, a new one if there is none.
func (t *NAT) mapping(key mappingKey, now time.Time) *mapping {
	if m := t.mappings[key]; m != nil {
		if !t.flavour.over(m.used, now) {
			return m
		}
		t.forget(m)
	}
	m := &mapping{
		key: key, letsIn: make(map[netip.AddrPort]time.Time),
		outside: netip.AddrPortFrom(t.public, t.freePort(key, now)),
	}
	t.mappings[key] = m
	t.outside[m.outside.Port()] = m
	t.net.add(m.outside, func(p *simnet.Packet) { t.in(m, p) })
	return m
}

// freePort returns the outside port for a new mapping: that of the inside if it can
// be kept, as Linux does, and any other one if not.
func (t *NAT) freePort(key mappingKey, now time.Time) uint16 {
	port := key.inside.Port()
	keep := t.flavour.Mapping == EndpointIndependent
	for {
		if keep {
			m := t.outside[port]
			if m != nil && t.flavour.over(m.used, now) {
				t.forget(m)
				m = nil
			}
			if m == nil {
				return port
			}
		}
		keep, port = true, uint16(1024+t.rand.IntN(1<<16-1024)) //nolint:gosec // 16 bits
	}
}

// forget removes a mapping.
func (t *NAT) forget(m *mapping) {
	delete(t.mappings, m.key)
	delete(t.outside, m.outside.Port())
	t.net.remove(m.outside)
}
