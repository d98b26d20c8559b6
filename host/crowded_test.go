package host

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// bridges returns the addresses of a machine with eight bridges of containers, each with
// four transports.
func bridges() (addrs []string) {
	for i := range 8 {
		for _, transport := range []string{"tcp/4001", "tcp/4002/ws", "udp/4001/quic-v1", "udp/4001/quic-v1/webtransport"} {
			addrs = append(addrs, fmt.Sprintf("/ip4/172.%d.0.1/%s", 17+i, transport))
		}
	}
	return addrs
}

// A host with 32 useless addresses and one that works, which comes last: that one is in
// provider records, in answers about the peer, and in presences.
func TestUsefulAddressSurvives(t *testing.T) {
	for _, tt := range []struct{ name, works string }{
		{"public", "/ip6/2a00:1450::1/tcp/4001"},
		{"private", "/ip4/192.168.7.20/udp/4001/quic-v1"},
		{"relayed", "/ip4/40.1.0.1/tcp/4001/p2p/" + aRelay + "/p2p-circuit"},
		{"a bridge where a connection has shown it", ""},
	} {
		for _, mode := range []Mode{ModeServer, ModeClient} {
			t.Run(fmt.Sprintf("%s, %v", tt.name, mode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testUsefulAddress(t, tt.works, mode) })
			})
		}
	}
}

func testUsefulAddress(t *testing.T, works string, mode Mode) {
	n := newTestNet(t)
	nodes := n.nodes(4, Config{})
	h := n.hostOn("/ip6/fd00:ffff::1/tcp/4001", func(routing.Key) bool { return true })
	if works == "" {
		works = h.Addrs()[0].String()
	}
	crowded := newMover(t, h, append(bridges(), works)...)
	for _, d := range nodes { // as identify tells them
		d.host.Peerstore().AddAddrs(h.ID(), crowded.Addrs(), peerstore.PermanentAddrTTL)
	}
	for _, d := range nodes {
		if err := d.host.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
	d := n.attach(crowded, Config{Mode: mode, Bootstrap: []peer.AddrInfo{info(nodes[0].host)}})
	time.Sleep(time.Minute)
	content := testCID("content")
	if _, err := d.Announce(t.Context(), content); err != nil {
		t.Fatal(err)
	}
	has := func(what string, addrs []multiaddr.Multiaddr) {
		t.Helper()
		if !slices.ContainsFunc(addrs, roomtest.Addrs(works)[0].Equal) {
			t.Errorf("%s: %d addresses, without the one that works: %v", what, len(addrs), addrs)
		}
	}
	h2 := n.host()
	dialHost(t, h2, nodes[1].host)
	for what, req := range map[string]protocol.Request{
		"the provider record":       protocol.GetProviders{Key: content.Hash()},
		"an answer about the peer":  protocol.FindNode{Target: []byte(h.ID())},
		"the presence that is held": protocol.GetProviders{Key: []byte(h.ID())},
	} {
		resp, err := ask(t, h2, nodes[1], req)
		if err != nil {
			t.Fatal(err)
		}
		told := slices.DeleteFunc(slices.Concat(resp.Closer, resp.Providers), func(p protocol.Peer) bool { return p.ID != h.ID() })
		if len(told) > 0 {
			has(what, told[0].Addrs)
		} else if mode == ModeClient || what != "the presence that is held" {
			t.Errorf("%s: nothing is told of the peer", what)
		}
	}
	stranger := n.attach(h2, Config{Mode: ModeClient})
	time.Sleep(time.Second)
	found, err := stranger.FindPeer(t.Context(), h.ID())
	if err != nil {
		t.Fatal(err)
	}
	if len(h2.Network().ConnsToPeer(h.ID())) == 0 { // else the address of the connection is told, and no other is needed
		has("FindPeer", found.Addrs)
	}
	for _, p := range providers(t, stranger, content, 0) {
		has("Providers", p.Addrs)
	}
}
