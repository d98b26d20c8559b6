package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/scope"
)

// A simWorld is a network of real hosts over QUIC, with packets in memory: for a
// bubble of synctest. Hosts at private addresses dial; no host can dial them.
type simWorld struct {
	t   *testing.T
	net *simnet.Simnet

	dialers int // hosts of [simWorld.dials]

	mu   sync.Mutex
	dead []string // addresses whose packets are lost
}

func newSimWorld(t *testing.T) *simWorld {
	t.Helper()
	w := &simWorld{t: t}
	w.net = &simnet.Simnet{LatencyFunc: func(p *simnet.Packet) time.Duration {
		to := p.To.(*net.UDPAddr).IP.To4()
		if w.isDead(to.String()) || w.isDead(p.From.(*net.UDPAddr).IP.String()) {
			return 1000 * time.Hour
		}
		return time.Duration(10+to[3]%16) * time.Millisecond // a host with a higher last byte is farther away
	}}
	w.net.Start()
	t.Cleanup(w.net.Close)
	return w
}

// cut has all packets lost from and to an address.
func (w *simWorld) cut(ip string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = append(w.dead, ip)
}

// mend ends that.
func (w *simWorld) mend(ip string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = slices.DeleteFunc(w.dead, func(dead string) bool { return dead == ip })
}

func (w *simWorld) isDead(ip string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.dead, ip)
}

// host returns a host at an address, with Traversal.
func (w *simWorld) host(ip string, cfg Config, opts ...libp2p.Option) (lhost.Host, *DHT) {
	w.t.Helper()
	var d *DHT
	h, err := libp2p.New(append(opts,
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/4001/quic-v1", ip)),
		simlibp2p.QUICSimnet(w.net, simnet.NodeBiDiLinkSettings{
			Downlink: simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
			Uplink:   simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
		}),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(),
		Traversal(&d, testConfig(cfg)),
		func(cfg *libp2p.Config) error { // what would use real sockets
			cfg.NATManager = nil
			cfg.EnableService = false
			cfg.EnableAutoNATv2 = net.ParseIP(ip).IsPrivate() // a public host has no peer to ask
			return nil
		},
	)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = h.Close() })
	return h, d
}

// relays returns servers that relay, each in its network, the first one first.
func (w *simWorld) relays(n int) []lhost.Host {
	w.t.Helper()
	var hosts []lhost.Host
	cfg := Config{OfferRelay: true}
	for i := range n {
		h, _ := w.host(fmt.Sprintf("40.%d.0.%d", i+1, i+1), cfg)
		hosts = append(hosts, h)
		cfg.Bootstrap = []peer.AddrInfo{info(hosts[0])}
	}
	time.Sleep(5 * time.Second)
	return hosts
}

// dials reports whether a new host can connect to a peer through a relay.
func (w *simWorld) dials(id peer.ID, through lhost.Host) error {
	w.t.Helper()
	w.dialers++
	h, _ := w.host(fmt.Sprintf("192.168.2.%d", w.dialers), Config{Mode: ModeClient})
	defer h.Close()
	var addrs []multiaddr.Multiaddr
	for _, a := range through.Addrs() {
		addrs = append(addrs, a.Encapsulate(multiaddr.StringCast("/p2p/"+through.ID().String()+"/p2p-circuit")))
	}
	return h.Connect(w.t.Context(), peer.AddrInfo{ID: id, Addrs: addrs})
}

// announced returns the relays in the addresses of a host.
func announced(h lhost.Host) []peer.ID {
	var r []peer.ID
	for _, a := range h.Addrs() {
		if id, ok := scope.RelayOf(a); ok && !slices.Contains(r, id) {
			r = append(r, id)
		}
	}
	return r
}

// until returns how long it takes until a condition holds; it fails after a minute.
func until(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > time.Minute {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// A host behind a NAT that knows one peer has a relay within a second, and two within
// 2.5s, found through the DHT, before it has a verdict. When one dies, another takes its
// place.
func TestRelays(t *testing.T) {
	withoutRace(t)
	synctest.Test(t, testRelays)
}

func testRelays(t *testing.T) {
	w := newSimWorld(t)
	relays := w.relays(5)
	h, d := w.host("192.168.1.2", Config{Bootstrap: []peer.AddrInfo{info(relays[0])}})
	one := until(t, "one relay", func() bool { return len(announced(h)) >= 1 })
	two := one + until(t, "two relays", func() bool { return len(announced(h)) == 2 })
	t.Logf("one relay after %v, two after %v", one, two)
	if one > time.Second || two > 2500*time.Millisecond {
		t.Errorf("one relay after %v, two after %v", one, two)
	}
	for dead := range 3 {
		lost := announced(h)[0]
		i := slices.IndexFunc(relays, func(r lhost.Host) bool { return r.ID() == lost })
		if err := relays[i].Close(); err != nil {
			t.Fatal(err)
		}
		gone := until(t, "loss", func() bool { return !slices.Contains(announced(h), lost) })
		took := until(t, "replacement", func() bool { return len(announced(h)) == 2 })
		t.Logf("relay %d: noticed after %v, replaced %v later", dead, gone, took)
		if took > 5*time.Second {
			t.Errorf("relay %d was replaced %v after that could be noticed", dead, took)
		}
	}
	if mode, why := d.Mode(); mode != ModeClient {
		t.Errorf("mode %v (%s), want client", mode, why)
	}
}

// Servers that can be dialled take no relay, though libp2p asks for one while their
// reachability is not known.
func TestNoRelayNeeded(t *testing.T) { synctest.Test(t, testNoRelayNeeded) }

func testNoRelayNeeded(t *testing.T) {
	w := newSimWorld(t)
	relays := w.relays(3)
	time.Sleep(5 * time.Minute)
	for i, h := range relays {
		if got := announced(h); len(got) > 0 {
			t.Errorf("server %d has relays %v", i, got)
		}
		if !slices.Contains(h.Mux().Protocols(), circuit.ProtoIDv2Hop) {
			t.Errorf("server %d does not relay", i)
		}
	}
}

// The relay source ends with its context, and with the DHT.
func TestRelaySourceEnds(t *testing.T) { synctest.Test(t, testRelaySourceEnds) }

func testRelaySourceEnds(t *testing.T) {
	d := newTestNet(t).node(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	a, b := d.RelaySource(ctx, 20), d.RelaySource(t.Context(), 20)
	time.Sleep(time.Hour)
	cancel()
	synctest.Wait()
	if _, open := <-a; open {
		t.Error("a relay where no peer relays")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []<-chan peer.AddrInfo{b, d.RelaySource(t.Context(), 20)} {
		if _, open := <-c; open {
			t.Error("a relay of a closed DHT")
		}
	}
}

// A relay announces itself in the DHT, where a host that is not connected to it finds it;
// a relay that has a reservation of the host is not found again. A relay that is no longer
// reachable stops, starts again when it is, and ends with its DHT.
func TestOfferRelay(t *testing.T) { synctest.Test(t, testOfferRelay) }

func testOfferRelay(t *testing.T) {
	w := newSimWorld(t)
	first, _ := w.host("50.1.0.1", Config{})
	boot := []peer.AddrInfo{info(first)}
	r, rd := w.host("50.2.0.2", Config{Bootstrap: boot, OfferRelay: true})
	h, d := w.host("192.168.1.2", Config{Bootstrap: boot, Mode: ModeClient})
	until(t, "relay", func() bool { return slices.Equal(announced(h), []peer.ID{r.ID()}) })
	if held := d.relay.Held(); !slices.Equal(held, []peer.ID{r.ID()}) {
		t.Errorf("holds %v, want the relay", held)
	}
	if g := diagnose(t, d); !slices.Equal(g.Relays, []peer.ID{r.ID()}) || strings.Contains(g.String(), "libp2p.Enable") {
		t.Errorf("the diagnosis names other relays, or options that Traversal passes:\n%s", g)
	}
	if s := rd.Stats(); s.RelayReservations != 1 || s.RelayRefused != 0 {
		t.Errorf("the relay says: %d reservations, %d refused", s.RelayReservations, s.RelayRefused)
	}

	other, _ := w.host("192.168.1.3", Config{Bootstrap: boot, Mode: ModeClient})
	time.Sleep(20 * time.Second) // what was proposed may be again
	if err := other.Network().ClosePeer(r.ID()); err != nil {
		t.Fatal(err)
	}
	other.Peerstore().ClearAddrs(r.ID())
	other.Peerstore().RemovePeer(r.ID())
	until(t, "relay again", func() bool { return slices.Equal(announced(other), []peer.ID{r.ID()}) })

	relaying := func() bool { return slices.Contains(r.Mux().Protocols(), circuit.ProtoIDv2Hop) }
	emit(t, rd, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate})
	time.Sleep(time.Second)
	if relaying() {
		t.Error("it relays, though it found that it is not reachable")
	}
	if s := rd.Stats(); s.RelayReservations != 0 {
		t.Errorf("it has %d reservations, and does not relay", s.RelayReservations)
	}
	key, err := NamespaceCID(string(rd.cfg.protocolID()) + "/relay")
	if err != nil {
		t.Fatal(err)
	}
	if own, err := rd.store.Providers(t.Context(), key.Hash(), time.Now(), 0); err != nil || len(own) > 0 {
		t.Errorf("it still announces itself: %v, %v", own, err)
	}
	emit(t, rd, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	time.Sleep(2 * minSettle)
	if !relaying() {
		t.Error("it does not relay, though it found that it is reachable")
	}
	if err := rd.Close(); err != nil {
		t.Fatal(err)
	}
	if relaying() {
		t.Error("the relay outlives the DHT")
	}
}

// A host that has no verdict holds relays at once. If AutoNAT then finds that it is
// reachable, as behind a forwarded port, it serves; and takes relays again when that ends.
func TestVerdict(t *testing.T) {
	withoutRace(t)
	synctest.Test(t, testVerdict)
}

func testVerdict(t *testing.T) {
	w := newSimWorld(t)
	relays := w.relays(3)
	h, d := w.host("192.168.1.2", Config{Bootstrap: []peer.AddrInfo{info(relays[0])}})
	until(t, "two relays", func() bool { return len(d.relay.Held()) == 2 })

	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	if mode, why := d.Mode(); mode != ModeServer {
		t.Errorf("mode %v (%s), want server", mode, why)
	}
	time.Sleep(time.Second)
	for i, r := range relays {
		known, err := r.Peerstore().SupportsProtocols(h.ID(), testProtocol)
		if err != nil || len(known) == 0 {
			t.Errorf("server %d was not told that it serves: %v, %v", i, known, err)
		}
	}
	for _, r := range relays {
		_ = h.Network().ClosePeer(r.ID())
	}
	time.Sleep(time.Minute)
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate})
	time.Sleep(minSettle + time.Second)
	took := until(t, "relays again", func() bool { return len(d.relay.Held()) == 2 })
	t.Logf("two relays %v after the verdict", minSettle+time.Second+took)
	for _, id := range announced(h) {
		i := slices.IndexFunc(relays, func(r lhost.Host) bool { return r.ID() == id })
		if w.dials(h.ID(), relays[i]) != nil {
			t.Errorf("relay %d is announced, and has no reservation", i)
		}
	}
	if mode, why := d.Mode(); mode != ModeClient {
		t.Errorf("mode %v (%s), want client", mode, why)
	}
}

// A host without contacts does not wait for a lookup that cannot begin. A host that has
// just started waits until it has joined.
func TestRoutedConnect(t *testing.T) { synctest.Test(t, testRoutedConnect) }

func testRoutedConnect(t *testing.T) {
	w := newSimWorld(t)
	first, _ := w.host("50.1.0.1", Config{})
	start := time.Now()
	err := first.Connect(t.Context(), peer.AddrInfo{ID: calltest.ID(1)})
	if took := time.Since(start); !errors.Is(err, ErrNoContacts) || took > 2*fallbackAfter {
		t.Errorf("after %v: %v, want %v", took, err, ErrNoContacts)
	}
	time.Sleep(time.Minute)
	start = time.Now()
	err = first.Connect(t.Context(), peer.AddrInfo{ID: calltest.ID(1)})
	if took := time.Since(start); !errors.Is(err, ErrNoContacts) || took > 0 {
		t.Errorf("later, after %v: %v, want %v at once", took, err, ErrNoContacts)
	}

	boot := []peer.AddrInfo{info(first)}
	second, _ := w.host("51.1.0.1", Config{Bootstrap: boot})
	time.Sleep(time.Minute)
	third, _ := w.host("52.1.0.1", Config{Bootstrap: boot})
	if err := third.Connect(t.Context(), peer.AddrInfo{ID: second.ID()}); err != nil {
		t.Errorf("a host that has just started does not find it: %v", err)
	}
}

// What a host behind a NAT announces when it has just started is stored: it waits for
// a relay. Where there is none, it does not wait for long.
func TestAnnounceAwaitsRelay(t *testing.T) { synctest.Test(t, testAnnounceAwaitsRelay) }

func testAnnounceAwaitsRelay(t *testing.T) {
	w := newSimWorld(t)
	relays := w.relays(3)
	key, err := NamespaceCID("room")
	if err != nil {
		t.Fatal(err)
	}
	_, d := w.host("192.168.1.2", Config{Bootstrap: []peer.AddrInfo{info(relays[0])}})
	if err := d.Provide(t.Context(), key, true); err != nil {
		t.Errorf("at the start: %v", err)
	}

	alone, _ := w.host("50.1.0.1", Config{Network: "/alone"})
	_, d = w.host("192.168.1.3", Config{Network: "/alone", Bootstrap: []peer.AddrInfo{info(alone)}})
	start := time.Now()
	if err := d.Provide(t.Context(), key, true); !errors.Is(err, ErrRefused) {
		t.Errorf("without a relay: %v, want %v", err, ErrRefused)
	}
	if took := time.Since(start); took > addrTimeout+2*time.Second {
		t.Errorf("it waited for %v", took)
	}
}
