package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A contact that leaves a request unanswered is evicted, once a probe has shown
// that it was not by chance.
func TestSilentContactIsEvicted(t *testing.T) { synctest.Test(t, testSilentContactIsEvicted) }

func testSilentContactIsEvicted(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	good, bad := n.puppet(says(protocol.Response{})), n.puppet(says(protocol.Response{}))
	meet(t, d, good, bad)

	bad.will(silent)
	if found, err := d.ClosestPeers(t.Context(), []byte("key")); len(found) != 1 || !errors.Is(err, ErrUnanswered) {
		t.Fatalf("ClosestPeers() = %v, %v; want one of two, and ErrUnanswered", found, err)
	}
	time.Sleep(15 * time.Second) // a probe, and its timeout
	if knows(d, bad) || !knows(d, good) {
		t.Errorf("silent contact held: %v, want false; the other: %v, want true", knows(d, bad), knows(d, good))
	}
}

// A contact whose connection ended is evicted if it cannot be reached again.
func TestUnreachableContactIsEvicted(t *testing.T) { synctest.Test(t, testUnreachableContactIsEvicted) }

func testUnreachableContactIsEvicted(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	good, bad := n.puppet(says(protocol.Response{})), n.puppet(says(protocol.Response{}))
	meet(t, d, good, bad)

	n.cut(bad)
	time.Sleep(15 * time.Second)
	if knows(d, bad) || !knows(d, good) {
		t.Errorf("dead contact held: %v, want false; the other: %v, want true", knows(d, bad), knows(d, good))
	}
}

// The end of a connection is no reason to forget a contact: it is probed, over
// a new connection, and stays if it answers.
func TestDisconnectProbes(t *testing.T) { synctest.Test(t, testDisconnectProbes) }

func testDisconnectProbes(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	p := n.puppet(says(protocol.Response{}))
	meet(t, d, p)

	if err := n.net.DisconnectPeers(d.ID(), p.ID()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if !knows(d, p) {
		t.Error("the contact was evicted, want it to stay")
	}
	if got := len(p.requests()); got != 1 {
		t.Errorf("%d probes, want 1", got)
	}
}

// ask sends one request to a node, as a peer of its own would.
func ask(t *testing.T, from lhost.Host, to *DHT, req protocol.Request) (protocol.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return call.NewStreams(from, to.cfg.protocolID(), to.cfg.manyID(), nil, func() {}).Request(ctx, to.ID(), req)
}

// A peer that asks us something has proved nothing: it enters the table when it
// answers a probe, and not before.
func TestAskingProvesNothing(t *testing.T) { synctest.Test(t, testAskingProvesNothing) }

func testAskingProvesNothing(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	p := n.puppet(silent)
	dialHost(t, p, d.host)
	find := protocol.FindNode{Target: []byte("target")}
	for range 3 {
		if _, err := ask(t, p, d, find); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * routing.DoubtAge) // it is not probed again while in doubt
		if knows(d, p) {
			t.Fatal("a peer that asked, and never answered, is in the table")
		}
	}
	if got := len(p.requests()); got < 3 {
		t.Errorf("it was probed %d times, want once per request at least", got)
	}

	p.will(says(protocol.Response{}))
	if _, err := ask(t, p, d, find); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if !knows(d, p) {
		t.Error("a peer that answered its probe is not in the table")
	}
}

// A peer that answers a request of a lookup is admitted, although it was never
// connected before.
func TestAnsweringAdmits(t *testing.T) { synctest.Test(t, testAnsweringAdmits) }

func testAnsweringAdmits(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	far := n.puppet(says(protocol.Response{}))
	near := n.puppet(names(far))
	meet(t, d, near)
	if _, err := d.ClosestPeers(t.Context(), []byte("key")); err != nil {
		t.Fatal(err)
	}
	if !knows(d, far) {
		t.Error("the peer that answered is not in the table")
	}
}

// A peer that advertises the protocol is refused if it does not answer, or
// answers what cannot be read.
func TestAdvertisingProvesNothing(t *testing.T) { synctest.Test(t, testAdvertisingProvesNothing) }

func testAdvertisingProvesNothing(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	garbage := func(s network.Stream, _ protocol.Request) {
		_, _ = s.Write([]byte("\x05hello"))
		_ = s.Close()
	}
	closes := func(s network.Stream, _ protocol.Request) { _ = s.Close() }
	for i, p := range []*puppet{n.puppet(silent), n.puppet(resets), n.puppet(garbage), n.puppet(closes)} {
		dialHost(t, p, d.host)
		time.Sleep(30 * time.Second)
		if knows(d, p) {
			t.Errorf("peer %d is in the table", i)
		}
		if len(p.requests()) == 0 {
			t.Errorf("peer %d was not probed", i)
		}
	}
}

// A contact that announces other addresses is named with the new ones, and probed.
func TestAddressChange(t *testing.T) { synctest.Test(t, testAddressChange) }

func testAddressChange(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	p := n.puppet(says(protocol.Response{}))
	meet(t, d, p)

	moved := multiaddr.StringCast("/ip4/10.0.0.7/tcp/4001")
	if err := p.Network().Listen(moved); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute) // the host tells by and by
	var announced []multiaddr.Multiaddr
	for _, b := range d.Table() {
		for _, c := range b.Contacts {
			announced = append(announced, c.Addrs...)
		}
	}
	if !multiaddr.Contains(announced, moved) {
		t.Errorf("announced with %v, want %v among them", announced, moved)
	}
	if len(p.requests()) == 0 {
		t.Error("it was not probed")
	}
}

// A contact that stops serving leaves the table when it says so, and comes back
// when it serves again.
func TestContactStopsServing(t *testing.T) { synctest.Test(t, testContactStopsServing) }

func testContactStopsServing(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	p := n.puppet(says(protocol.Response{}))
	meet(t, d, p)

	p.RemoveStreamHandler(testProtocol)
	time.Sleep(time.Second)
	if knows(d, p) {
		t.Error("it is in the table, and does not serve")
	}
	p.SetStreamHandler(testProtocol, p.serve)
	time.Sleep(time.Second)
	if !knows(d, p) {
		t.Error("it serves again, and is not in the table")
	}
}

// A peer that has not proved itself is not told to others.
func TestUnverifiedIsNotHandedOut(t *testing.T) { synctest.Test(t, testUnverifiedIsNotHandedOut) }

func testUnverifiedIsNotHandedOut(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	proved, unproved, asker := n.puppet(says(protocol.Response{})), n.puppet(silent), n.host()
	dialHost(t, unproved, d.host)
	meet(t, d, proved)
	resp, err := ask(t, asker, d, protocol.FindNode{Target: []byte("target")})
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Closer) != 1 || resp.Closer[0].ID != proved.ID() {
		t.Errorf("told of %v, want of the proved peer alone", resp.Closer)
	}
}

// Networks with different names never mix, even if all of their hosts are
// connected to each other.
func TestNetworksDoNotMix(t *testing.T) { synctest.Test(t, testNetworksDoNotMix) }

func testNetworksDoNotMix(t *testing.T) {
	n := newTestNet(t)
	var nodes []*DHT
	for i := range 6 {
		nodes = append(nodes, n.node(Config{Network: []string{"/red", "/blue"}[i%2]}))
	}
	if err := n.net.ConnectAllButSelf(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	for i, d := range nodes {
		for j, other := range nodes {
			if want := i != j && i%2 == j%2; knows(d, other.host) != want {
				t.Errorf("node %d knows node %d: %v, want %v", i, j, !want, want)
			}
		}
	}
}
