package reach

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// A connection shows that other peers can dial the host if its peer is a stranger: the
// host has dialled neither it nor another peer at its address, nor was connected to it.
// That counts for an hour, and not against AutoNAT.
func TestStrangers(t *testing.T) { synctest.Test(t, testStrangers) }

func testStrangers(t *testing.T) {
	n := newNode(t, Auto, true)
	n.Start()
	comes := func(from peer.ID, addr string, want Mode) {
		t.Helper()
		c, before := conn{from: from, addr: addr, dir: network.DirInbound}, n.host.conns
		n.host.conns = append(slices.Clone(before), c)
		n.Observe(c)
		n.host.conns = before
		n.host.wake()
		synctest.Wait()
		if mode, why := n.Mode(); mode != want || n.NeedsRelay() != (want == Client) {
			t.Errorf("mode %v (%s), needs a relay: %v", mode, why, n.NeedsRelay())
		}
	}
	far := conn{from: "far", addr: "/ip4/1.1.1.1/tcp/1", dir: network.DirOutbound}
	n.host.conns = []network.Conn{far, conn{from: "punched", addr: relayedAddr, dir: network.DirInbound}}
	n.Observe(far)
	n.Observe(nil)                                 // the host did not say
	comes("far", "/ip4/1.1.1.1/tcp/9", Client)     // it is connected, and was dialled
	comes("beside", "/ip4/1.1.1.1/tcp/9", Client)  // a NAT may let in all peers at the address
	comes("punched", "/ip4/2.2.2.2/tcp/9", Client) // over a relay, both sides dial
	comes("stranger", privateAddr, Client)         // not on the internet
	comes("stranger", relayedAddr, Client)         // not directly
	n.Dialled("dialled")                           // or its connection ended
	comes("dialled", "/ip4/2.2.2.2/tcp/9", Client)
	n.Observe(conn{from: "met", addr: "/ip4/2.2.2.2/tcp/9", dir: network.DirOutbound})
	comes("met", "/ip4/2.2.2.2/tcp/9", Client) // another part of the host has dialled it
	n.host.conns = nil
	comes("far", "/ip4/9.9.9.9/tcp/9", Client)

	n.host.conns = []network.Conn{far} // which explains no connection from elsewhere
	comes("stranger", "/ip4/2.2.2.2/tcp/9", Server)
	n.finds(network.ReachabilityPrivate)
	time.Sleep(minSettle)
	comes("stranger", "/ip4/2.2.2.2/tcp/9", Client)
	n.finds(network.ReachabilityUnknown)
	time.Sleep(2 * minSettle)
	comes("another", "/ip4/3.3.3.3/tcp/9", Server)
	one, two := multiaddr.StringCast("/ip4/4.4.4.4/tcp/9"), multiaddr.StringCast("/ip4/4.4.4.4/tcp/8")
	n.handle(event.EvtHostReachableAddrsChanged{Unreachable: []multiaddr.Multiaddr{one}, Unknown: []multiaddr.Multiaddr{two}})
	comes("another", "/ip4/3.3.3.3/tcp/9", Server) // one of them may be reachable
	n.handle(event.EvtHostReachableAddrsChanged{Unreachable: []multiaddr.Multiaddr{one, two}})
	comes("another", "/ip4/3.3.3.3/tcp/9", Client)
	n.handle(event.EvtHostReachableAddrsChanged{})
	time.Sleep(8 * minSettle)
	comes("one more", "/ip4/3.3.3.4/tcp/9", Server)
	time.Sleep(dialledAge - time.Second)
	n.wants(t, Server, "has reached the host")
	time.Sleep(time.Second)
	synctest.Wait()
	n.wants(t, Client, "not known yet")
}
