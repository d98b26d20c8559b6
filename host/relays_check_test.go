package host

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
)

// A dead relay of a peer does not hold up a connection to the peer, though the connection
// to the relay seems to be there.
func TestConnectPastDeadRelay(t *testing.T) {
	withoutRace(t)
	synctest.Test(t, testConnectPastDeadRelay)
}

func testConnectPastDeadRelay(t *testing.T) {
	w := newSimWorld(t)
	servers := w.relays(4)
	cfg := Config{Bootstrap: []peer.AddrInfo{info(servers[0])}}
	hidden, d := w.host("192.168.1.2", cfg)
	until(t, "two relays", func() bool { return len(d.relay.Held()) == 2 })
	time.Sleep(5 * time.Second)
	held := d.relay.Held()
	for i := range 4 {
		_, other := w.host(fmt.Sprintf("192.168.3.%d", i+1), cfg)
		if err := other.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range servers {
			dialHost(t, other.Host(), s)
		}
		dead := slices.IndexFunc(servers, func(s lhost.Host) bool { return s.ID() == held[i%2] })
		ip := fmt.Sprintf("40.%d.0.%d", dead+1, dead+1)
		through := slices.DeleteFunc(hidden.Addrs(), func(a multiaddr.Multiaddr) bool { return !scope.HasProtocol(a, multiaddr.P_CIRCUIT) })
		other.Host().Peerstore().AddAddrs(hidden.ID(), through, time.Hour)
		w.cut(ip)
		spent := roomtest.Took(func() {
			conn, err := other.Connect(t.Context(), hidden.ID(), WaitDirect(0))
			if err != nil || conn.Via == 0 {
				t.Errorf("connected %v, %v", conn.Via, err)
			}
		})
		w.mend(ip)
		if spent > time.Second {
			t.Errorf("connected after %v", spent)
		}
		time.Sleep(time.Second)
	}
}

// Relays that die without a word are missed within 10s, both at once too. A node that is
// offline itself for that long keeps its relays.
func TestRelaysDieSilently(t *testing.T) {
	withoutRace(t)
	synctest.Test(t, testRelaysDieSilently)
}

func testRelaysDieSilently(t *testing.T) {
	const noticedAfter = 5*time.Second + 3*1500*time.Millisecond // an interval of checks, and three times its patience
	w := newSimWorld(t)
	relays := w.relays(5)
	h, d := w.host("192.168.1.2", Config{Bootstrap: []peer.AddrInfo{info(relays[0])}})
	until(t, "two relays", func() bool { return len(d.relay.Held()) == 2 })
	until(t, "all servers", func() bool { return len(h.Network().Peers()) == 5 })
	time.Sleep(time.Minute)

	held := d.relay.Held()
	w.cut("192.168.1.2")
	time.Sleep(noticedAfter)
	w.mend("192.168.1.2")
	for _, id := range held {
		if h.Network().Connectedness(id) != network.Connected {
			t.Error("a relay was given up in an outage of our own")
		}
	}
	time.Sleep(time.Minute)

	for _, n := range []int{1, 2} {
		held := d.relay.Held()
		for _, id := range held[:n] {
			i := slices.IndexFunc(relays, func(r lhost.Host) bool { return r.ID() == id })
			w.cut("40." + string(rune('1'+i)) + ".0." + string(rune('1'+i)))
		}
		took := until(t, "loss", func() bool {
			return !slices.ContainsFunc(held[:n], func(id peer.ID) bool { return slices.Contains(announced(h), id) })
		})
		again := until(t, "replacement", func() bool { return len(d.relay.Held()) == 2 })
		t.Logf("loss of %d noticed after %v, replaced %v later", n, took, again)
		if took > noticedAfter {
			t.Errorf("loss of %d noticed after %v, want %v at most", n, took, noticedAfter)
		}
	}
}
