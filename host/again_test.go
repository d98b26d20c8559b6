package host

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/routing"
)

// A peer that was killed and is back is used at its new connection, also if the old one,
// which has more streams, has not ended yet. An old connection that answers stays.
func TestAskOlder(t *testing.T) { synctest.Test(t, testAskOlder) }

func testAskOlder(t *testing.T) {
	const wait = 5 * time.Second // longer than an old connection may take to answer
	w := newSimWorld(t)
	server, _ := w.host("40.1.0.1", Config{})
	before, _ := w.host("192.168.1.2", Config{Mode: ModeClient})
	if err := before.Connect(t.Context(), info(server)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := before.NewStream(t.Context(), server.ID(), ping.ID); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	w.cut("192.168.1.2")
	same := libp2p.Identity(before.Peerstore().PrivKey(before.ID()))
	after, _ := w.host("192.168.1.3", Config{Mode: ModeClient}, same)
	if err := after.Connect(t.Context(), info(server)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(wait)
	conns := server.Network().ConnsToPeer(after.ID())
	if len(conns) != 1 || !strings.Contains(conns[0].RemoteMultiaddr().String(), "192.168.1.3") {
		t.Errorf("the server has %v, want the new connection only", conns)
	}

	other, _ := w.host("192.168.1.4", Config{Mode: ModeClient}, same)
	if err := other.Connect(t.Context(), info(server)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(wait)
	if conns := server.Network().ConnsToPeer(after.ID()); len(conns) != 2 {
		t.Errorf("the server has %v, want both", conns)
	}
}

// An inbound is a connection that a peer at an address has made.
type inbound struct {
	network.Conn // nil: what is not implemented is not used

	from peer.ID
	addr string
}

func (c inbound) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: network.DirInbound}}
}
func (c inbound) RemotePeer() peer.ID                  { return c.from }
func (c inbound) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.addr) }

// A peer that was dialled in vain is no stranger: that it can dial the host shows nothing.
func TestDialledIsNoStranger(t *testing.T) { synctest.Test(t, testDialledIsNoStranger) }

func testDialledIsNoStranger(t *testing.T) {
	n := newTestNet(t)
	far := n.attach(n.hostOn("/ip4/1.1.1.1/tcp/1", func(routing.Key) bool { return true }), Config{})
	d := n.node(Config{Bootstrap: []peer.AddrInfo{info(far.host)}})
	time.Sleep(5 * time.Second)
	if err := d.call.Connect(t.Context(), aPeer); err == nil {
		t.Fatal("connected to a peer that there is not")
	}
	for _, tt := range []struct {
		from peer.ID
		want Mode
	}{{aPeer, ModeClient}, {calltest.ID(1), ModeServer}} {
		emit(t, d, event.EvtPeerIdentificationCompleted{Peer: tt.from, Conn: inbound{from: tt.from, addr: "/ip4/2.2.2.2/tcp/9"}})
		if mode, why := d.Mode(); mode != tt.want {
			t.Errorf("mode %v (%s) after %s has dialled, want %v", mode, why, tt.from, tt.want)
		}
	}
}
