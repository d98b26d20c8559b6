package host

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// Many who announce to relay, and do not, do not hide one who does: not those that
// answer, nor those that are not there.
func TestLiarsHideNoRelay(t *testing.T) { synctest.Test(t, testLiarsHideNoRelay) }

func testLiarsHideNoRelay(t *testing.T) {
	w := newSimWorld(t)
	first, _ := w.host("50.1.0.1", Config{})
	boot := []peer.AddrInfo{info(first)}
	r, _ := w.host("50.2.0.2", Config{Bootstrap: boot, OfferRelay: true})
	_, d := w.host("50.3.0.3", Config{Bootstrap: boot})
	time.Sleep(5 * time.Second)
	for i := range maxRelayChecks + 2 {
		h, liar := w.host(fmt.Sprintf("60.%d.0.1", i+1), Config{Bootstrap: boot})
		time.Sleep(time.Second)
		if err := liar.announceRelay(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = h.Close()
		}
	}
	for i := range 3 {
		if found := d.announcedRelays(t.Context()); slices.ContainsFunc(found, func(c relayCandidate) bool { return c.ID == r.ID() }) {
			t.Logf("found by lookup %d", i)
			if n := len(d.relays.known); n < maxRelayChecks {
				t.Errorf("%d are refused, want nearly all of the %d that do not relay", n, maxRelayChecks+2)
			}
			return
		}
	}
	t.Error("three lookups found no relay, though there is one")
}

// The network of a relay is that which it was reached in, not one it names.
func TestRelayGroup(t *testing.T) { synctest.Test(t, testRelayGroup) }

func testRelayGroup(t *testing.T) {
	n := newTestNet(t)
	far := puppetOn(n.hostOn("/ip4/1.1.1.1/tcp/1", func(routing.Key) bool { return true }), says(protocol.Response{}))
	far.SetStreamHandler(circuit.ProtoIDv2Hop, func(s network.Stream) { _ = s.Reset() })
	d := n.node(Config{})
	join(t, d.host, far)
	time.Sleep(time.Second)
	for i := range 9 {
		d.host.Peerstore().AddAddrs(far.ID(), addrList(fmt.Sprintf("/ip4/9.%d.9.9/tcp/1", i)), peerstore.PermanentAddrTTL)
	}
	if c, ok := d.relayCandidate(far.ID()); !ok || c.group != "1.1.0.0" {
		t.Errorf("%+v (%v) of a relay that was reached at 1.1.1.1", c, ok)
	}
}

// Of announced relays, one of each network comes first, and no order lasts.
func TestMixed(t *testing.T) {
	var infos []peer.AddrInfo
	for i := range 30 {
		infos = append(infos, peer.AddrInfo{ID: peer.ID(fmt.Sprint("crowd", i)), Addrs: addrList(fmt.Sprintf("/ip4/7.7.7.%d/tcp/1", i))})
	}
	for i := range 5 {
		infos = append(infos, peer.AddrInfo{ID: peer.ID(fmt.Sprint("lone", i)), Addrs: addrList(fmt.Sprintf("/ip4/8.%d.7.7/tcp/1", i))})
	}
	firsts := make(map[peer.ID]bool)
	for range 100 {
		got := mixed(infos)
		crowd := 0
		for _, info := range got[:6] {
			if relayGroup(info.Addrs[0]) == "7.7.0.0" {
				crowd++
			}
		}
		if len(got) != len(infos) || crowd != 1 {
			t.Fatalf("%d of a crowd are among the first six, want one", crowd)
		}
		firsts[got[0].ID] = true
	}
	if len(firsts) < 5 {
		t.Errorf("only %d are ever the first of 100", len(firsts))
	}
}
