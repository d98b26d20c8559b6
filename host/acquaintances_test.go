package host

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// Whom we dialled is remembered for one to two periods. While there are too many to
// remember, everybody may be one of them.
func TestAcquaintances(t *testing.T) {
	var a acquaintances
	now := time.Now()
	a.add(now, "a")
	for _, after := range []time.Duration{0, acquaintedFor - 1, acquaintedFor, 2*acquaintedFor - 1} {
		if !a.has(now.Add(after), "a") || a.has(now.Add(after), "b") {
			t.Errorf("forgotten after %v, or a stranger is known", after)
		}
	}
	if a.has(now.Add(2*acquaintedFor), "a") {
		t.Error("remembered for too long")
	}
	a.add(now.Add(3*acquaintedFor), "a")
	if a.has(now.Add(9*acquaintedFor), "a") {
		t.Error("remembered over a long silence")
	}
	now = now.Add(10 * acquaintedFor)
	for i := range 2 * maxAcquainted {
		a.add(now, peer.ID(strconv.Itoa(i)))
	}
	if len(a.now) > maxAcquainted {
		t.Errorf("%d are remembered", len(a.now))
	}
	if !a.has(now, "b") || !a.has(now.Add(acquaintedFor), "b") || a.has(now.Add(2*acquaintedFor), "b") {
		t.Error("after too many, a stranger is taken for one at once, or they are not forgotten")
	}
}

// A madeUpConn is a connection with a peer at an address.
type madeUpConn struct {
	network.Conn

	from peer.ID
	addr string
	dir  network.Direction
}

func (c madeUpConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: c.dir}}
}
func (c madeUpConn) RemotePeer() peer.ID                  { return c.from }
func (c madeUpConn) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.addr) }

// A connection shows that others can reach the host if its peer is a stranger: one that
// was not dialled, nor anybody at its address, nor connected before. That counts for an
// hour, and not against AutoNAT.
func TestStrangersReach(t *testing.T) { synctest.Test(t, testStrangersReach) }

func testStrangersReach(t *testing.T) {
	n := newTestNet(t)
	far := puppetOn(n.hostOn("/ip4/1.1.1.1/tcp/1", func(routing.Key) bool { return true }), says(protocol.Response{}))
	d := n.node(Config{Bootstrap: []peer.AddrInfo{info(far.Host)}})
	time.Sleep(time.Second)
	comes := func(from peer.ID, addr string, want Mode) {
		t.Helper()
		emit(t, d, event.EvtPeerIdentificationCompleted{Peer: from, Conn: madeUpConn{from: from, addr: addr, dir: network.DirInbound}})
		if mode, why := d.Mode(); mode != want || d.needsRelay() != (want == ModeClient) {
			t.Errorf("mode %v (%s), needs a relay: %v", mode, why, d.needsRelay())
		}
	}
	comes(far.ID(), "/ip4/1.1.1.1/tcp/9", ModeClient)  // it is connected, and was dialled
	comes("beside", "/ip4/1.1.1.1/tcp/9", ModeClient)  // routers may let in whoever has the address
	d.acquaintances.add(time.Now(), "dialled")         // in vain
	comes("dialled", "/ip4/2.2.2.2/tcp/9", ModeClient) // it punched a hole
	emit(t, d, event.EvtPeerConnectednessChanged{Peer: "gone", Connectedness: network.NotConnected})
	comes("gone", "/ip4/2.2.2.2/tcp/9", ModeClient) // it was connected
	emit(t, d, event.EvtPeerIdentificationCompleted{Peer: "met", Conn: madeUpConn{from: "met", addr: "/ip4/2.2.2.2/tcp/9", dir: network.DirOutbound}})
	comes("met", "/ip4/2.2.2.2/tcp/9", ModeClient) // somebody else on the host has dialled it
	n.cut(far.Host)
	time.Sleep(time.Second)
	comes(far.ID(), "/ip4/9.9.9.9/tcp/9", ModeClient) // it was connected

	comes("stranger", "/ip4/2.2.2.2/tcp/9", ModeServer)
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate})
	time.Sleep(minSettle)
	comes("stranger", "/ip4/2.2.2.2/tcp/9", ModeClient)
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityUnknown})
	time.Sleep(2 * minSettle)
	comes("another", "/ip4/3.3.3.3/tcp/9", ModeServer)
	unreachable := event.EvtHostReachableAddrsChanged{Unreachable: addrList("/ip4/4.4.4.4/tcp/9"), Unknown: addrList("/ip4/4.4.4.4/tcp/8")}
	emit(t, d, unreachable)
	comes("another", "/ip4/3.3.3.3/tcp/9", ModeServer) // one of them may be
	unreachable.Unknown = nil
	emit(t, d, unreachable)
	comes("another", "/ip4/3.3.3.3/tcp/9", ModeClient)
	emit(t, d, event.EvtHostReachableAddrsChanged{})
	time.Sleep(8 * minSettle)
	comes("one more", "/ip4/3.3.3.4/tcp/9", ModeServer)
	time.Sleep(dialledAge - time.Second)
	if mode, why := d.Mode(); mode != ModeServer {
		t.Errorf("mode %v (%s) before the hour is over", mode, why)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if mode, why := d.Mode(); mode != ModeClient {
		t.Errorf("mode %v (%s) after the hour", mode, why)
	}
}

// What is dialled for a lookup, and in vain, is an acquaintance.
func TestDialsAcquaint(t *testing.T) { synctest.Test(t, testDialsAcquaint) }

func testDialsAcquaint(t *testing.T) {
	d := newTestNet(t).node(Config{})
	if err := d.connect(t.Context(), aPeer); err == nil {
		t.Fatal("connected to nobody")
	}
	if !d.acquaintances.has(time.Now(), aPeer) {
		t.Error("it counts as a stranger")
	}
}
